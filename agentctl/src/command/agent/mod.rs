//! Agents.

pub(crate) mod activate;
pub(crate) mod certify;
pub(crate) mod enroll;
pub(crate) mod history;
pub(crate) mod list;
pub(crate) mod pause;
pub(crate) mod probation;
pub(crate) mod program;
pub(crate) mod resume;
pub(crate) mod retire;
pub(crate) mod revoke_key;
pub(crate) mod rotate_key;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod signers;
pub(crate) mod skills;
pub(crate) mod suspend;

/// What to do with agents.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    #[command(visible_alias = "enrol")]
    Enroll(enroll::Args),
    /// List agents
    List(list::Args),
    /// Show one agent in full: key, model, what it showed it can do
    Show(show::Args),
    Program(program::Args),
    /// End the probation of an agent
    Activate(activate::Args),
    Probation(probation::Args),
    /// Give an agent no more work until it is resumed
    Pause(pause::Args),
    /// Give a paused or suspended agent work again
    Resume(resume::Args),
    /// Shut an agent out at once: its tokens are void and its runs end
    Suspend(suspend::Args),
    /// Retire an agent for good; its name is never reused
    Retire(retire::Args),
    /// Show what an agent did, newest first
    History(history::Args),
    Skills(skills::Args),
    Signers(signers::Args),
    RotateKey(rotate_key::Args),
    Certify(certify::Args),
    /// Revoke the key of an agent; it needs a new one to go on
    RevokeKey(revoke_key::Args),
    Serve(serve::Args),
}

dispatch!(Command {
    Enroll List Show Program Activate Probation Pause Resume Suspend Retire History Skills Signers RotateKey Certify RevokeKey
    Serve
});
