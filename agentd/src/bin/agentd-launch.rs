//! The launcher's binary: everything is in the library.

fn main() -> std::process::ExitCode {
    agentd::launcher::main()
}
