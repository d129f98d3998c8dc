//! How the result of a work is taken home.

use std::path::Path;

use agentd_schemas::document::workspace::ContentKind;
use agentd_schemas::view::WorkView;

use crate::git::repository::Repository;
use crate::output::{plain, shell_word};

/// The command that takes the result of a work home.
pub(crate) fn taken(view: &WorkView) -> String {
    let command = format!("agentctl work apply {}", view.row.short);
    match &view.workspace {
        Some(workspace) if workspace.base.content == Some(ContentKind::Tar) => {
            let place =
                workspace.repository.as_deref().map_or_else(|| "PATH".to_owned(), |place| shell_word(&plain(place)));
            format!("{command} --folder {place}")
        }
        // Without files of its own a repository takes it as a branch.
        Some(workspace) if workspace.repository.as_deref().is_some_and(is_bare) => format!("{command} --branch NAME"),
        _ => command,
    }
}

fn is_bare(place: &str) -> bool {
    Repository::open(Path::new(place)).is_ok_and(|repository| repository.bare)
}
