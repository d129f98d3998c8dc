//! The line that `systemctl status` shows.

use std::fs;

use crate::manager::Managed;

#[test]
fn the_manager_is_told_what_waits_for_a_person_and_what_is_under_way() {
    let mut managed = Managed::started("");
    managed.is_told("STATUS=no run under way");
    let agent = managed.scratch.join("agent.toml");
    fs::write(&agent, "name = \"asker\"\nskills = [\"ask\"]\n").unwrap();
    managed.ctl(&["agent", "enroll", "--file", agent.to_str().unwrap()]);
    managed.ctl(&["submit", "Look", "--skill", "ask", "--accept-by-person"]);
    let mut serve = managed.ctl_command();
    let mut serve = serve.args(["agent", "serve", "asker", "--", "echo", "done"]).spawn().unwrap();
    managed.is_told("STATUS=no run under way, 1 work waits for a person");
    let _ = serve.kill();
    let _ = serve.wait();
    managed.ctl(&["accept", "@"]);
    let told = managed.is_told("STATUS=no run under way");
    assert_eq!(told, "STATUS=no run under way");
}
