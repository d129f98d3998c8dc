//! Paths that do not exist, and paths that take another method: the error names the one that was probably meant.

use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::strict;
use axum::http::{Method, StatusCode, Uri};

use super::answer::Refusal;

/// What can be asked of a run, below `/v1/runs/{run}/`.
pub(super) const RUN_ROUTES: [&str; 9] =
    ["start", "heartbeat", "reserve", "cost", "note", "ask", "children", "complete", "fail"];
/// The other paths.
pub(super) const PATHS: [&str; 4] = ["/v1/health", "/v1/challenge", "/v1/token", "/v1/claim"];

/// Status 404.
pub(super) async fn no_such_path(uri: Uri) -> Refusal {
    let hint = match nearest(uri.path()) {
        Some(path) => format!("did you mean {path}?"),
        None => format!("the paths are {} and /v1/runs/{{run}}/{{{}}}", PATHS.join(", "), RUN_ROUTES.join(",")),
    };
    Problem::new(Code::NotFound, format!("no path {:?}", shown(&uri))).hint(hint).into()
}

/// Status 405. The method that the path takes stands in the `allow` header too.
pub(super) async fn no_such_method(method: Method, uri: Uri) -> Refusal {
    let takes = if uri.path() == "/v1/health" { "GET" } else { "POST" };
    let problem = Problem::new(Code::InvalidDocument, format!("{:?} does not take {method}", shown(&uri)))
        .hint(format!("use {takes}"));
    Refusal { problem: Box::new(problem), status: StatusCode::METHOD_NOT_ALLOWED }
}

fn shown(uri: &Uri) -> String {
    uri.path().chars().take(128).collect()
}

fn nearest(path: &str) -> Option<String> {
    if let Some((run, what)) = path.strip_prefix("/v1/runs/").and_then(|rest| rest.split_once('/')) {
        let what = strict::nearest(&RUN_ROUTES, what.trim_end_matches('/'))?;
        return Some(format!("/v1/runs/{}/{what}", run.chars().take(32).collect::<String>()));
    }
    strict::nearest(&PATHS, path.trim_end_matches('/')).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{nearest, no_such_method, no_such_path};
    use axum::http::{Method, Uri};

    #[test]
    fn a_slip_in_a_path_finds_the_path() {
        for (path, meant) in [
            ("/v1/tokens", Some("/v1/token")),
            ("/v1/claim/", Some("/v1/claim")),
            ("/claim", Some("/v1/claim")),
            ("/v1/runs/w-7kq3x2mbnd5fa6uz.1/heart-beat", Some("/v1/runs/w-7kq3x2mbnd5fa6uz.1/heartbeat")),
            ("/v1/runs/w-7kq3x2mbnd5fa6uz.1/completed", Some("/v1/runs/w-7kq3x2mbnd5fa6uz.1/complete")),
            ("/v1/runs/w-7kq3x2mbnd5fa6uz.1/merge", None),
            ("/", None),
            ("/favicon.ico", None),
        ] {
            assert_eq!(nearest(path).as_deref(), meant, "{path}");
        }
    }

    #[tokio::test]
    async fn an_unknown_path_is_404_and_a_wrong_method_405() {
        assert_eq!(no_such_path(Uri::from_static("/v2/claim")).await.status.as_u16(), 404);
        let refusal = no_such_method(Method::GET, Uri::from_static("/v1/claim")).await;
        assert_eq!((refusal.status.as_u16(), refusal.problem.hint.as_deref()), (405, Some("use POST")));
    }
}
