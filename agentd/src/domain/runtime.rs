//! Whether the program of an agent can be started at all, whatever the host: looked at when it is enrolled.

use std::path::{Component, Path};

use agentd_schemas::document::Runtime;
use agentd_schemas::document::program::{
    MAX_AGENT_FILE_BYTES, MAX_AGENT_FILES, MAX_COMMAND_WORDS, MAX_PROGRAM_ENTRIES, MAX_TEMPLATE_BYTES, MIN_MEMORY,
    Program, Resources, ResultFrom, Sandbox, TEMPLATE_NAMES,
};
use agentd_schemas::problem::{Code, Problem};

use super::template::{Piece, pieces};

/// Variables that agentd sets itself begin with this.
const OWN_VARIABLES: &str = "AGENTD_";
/// Bytes of a path, at most.
const MAX_PATH_BYTES: usize = 1024;

type Checked = Result<(), Problem>;

fn refuse(field: &str, reason: impl std::fmt::Display) -> Checked {
    Err(Problem::new(Code::InvalidDocument, format!("{field}: {reason}")).detail("field", field))
}

/// Holds a program against the bounds of its document, and each template against the names that there are.
pub fn check_runtime(runtime: &Runtime) -> Result<(), Problem> {
    check_words("command", &runtime.command)?;
    if runtime.command.first().is_none_or(|word| word.trim().is_empty()) {
        return refuse("command", "no program is named");
    }
    check_program(&runtime.program)?;
    check_sandbox(&runtime.sandbox)?;
    check_resources(&runtime.resources)?;
    if runtime.files.len() > MAX_AGENT_FILES {
        return refuse("files", format!("{} are more than {MAX_AGENT_FILES}", runtime.files.len()));
    }
    for (place, file) in runtime.files.iter().enumerate() {
        check_below(&format!("files[{place}]"), &file.name)?;
        let clash = runtime.files[..place].iter().find(|other| clashes(&other.name, &file.name));
        if let Some(other) = clash {
            return refuse(
                &format!("files[{place}]"),
                format!("{:?} and {:?} cannot both be there", other.name, file.name),
            );
        }
    }
    Ok(())
}

/// Holds the content of the files of a program against their bound.
pub fn check_file_size(name: &str, bytes: usize) -> Result<(), Problem> {
    if bytes > MAX_AGENT_FILE_BYTES {
        return refuse("files", format!("{name:?} has {bytes} bytes, at most {MAX_AGENT_FILE_BYTES} are allowed"));
    }
    Ok(())
}

/// One path is the other, or a folder of it.
fn clashes(one: &str, other: &str) -> bool {
    Path::new(one).starts_with(other) || Path::new(other).starts_with(one)
}

fn check_program(program: &Program) -> Checked {
    for (name, value) in &program.environment {
        let field = format!("program.environment.{name}");
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !plain || name.is_empty() || name.as_bytes()[0].is_ascii_digit() {
            return refuse("program.environment", format!("{name:?} is not the name of a variable"));
        }
        if name.starts_with(OWN_VARIABLES) {
            return refuse(&field, "variables that begin with AGENTD_ are set by agentd");
        }
        check_template(&field, value)?;
    }
    check_count("program.environment", program.environment.len())?;
    check_bytes("program.environment", program.environment.values())?;
    for (path, content) in &program.files {
        let field = format!("program.files.{path:?}");
        check_below(&field, path)?;
        check_template(&field, content)?;
    }
    check_count("program.files", program.files.len())?;
    check_bytes("program.files", program.files.values())?;
    let paths: Vec<&String> = program.files.keys().collect();
    if let Some(pair) = paths.windows(2).find(|pair| clashes(pair[0], pair[1])) {
        return refuse("program.files", format!("{:?} and {:?} cannot both be there", pair[0], pair[1]));
    }
    check_count("program.exit_codes", program.exit_codes.len())?;
    for code in program.exit_codes.keys() {
        let number: Option<u8> = code.parse().ok();
        if number.is_none_or(|number| number.to_string() != *code) {
            return refuse("program.exit_codes", format!("{code:?} is not an exit code: 0 to 255"));
        }
    }
    check_result(&program.result)?;
    check_words("program.resume", &program.resume)?;
    match &program.session {
        Some(pointer) => check_pointer("program.session", pointer),
        None => check_needs_session(program),
    }
}

/// A session is filled in only where it is known how to find it.
fn check_needs_session(program: &Program) -> Checked {
    let names =
        |word: &String| pieces(word, &TEMPLATE_NAMES).is_ok_and(|found| found.contains(&Piece::Name("session")));
    if program.resume.iter().any(names) {
        return refuse("program.resume", "{{ session }} is filled in where program.session says where to find it");
    }
    Ok(())
}

fn check_result(result: &ResultFrom) -> Checked {
    let field = "program.result";
    match result {
        ResultFrom::Stdout | ResultFrom::Socket => Ok(()),
        ResultFrom::Json(pointer) => check_pointer(field, pointer),
        ResultFrom::File(path) => match pieces(path, &TEMPLATE_NAMES) {
            Ok(found) if found == [Piece::Name("result_file")] => Ok(()),
            Ok(found) if found.iter().any(|piece| matches!(piece, Piece::Name(_))) => {
                refuse(field, "a path below the workspace, or {{ result_file }} alone")
            }
            Ok(_) => check_below(field, path),
            Err(reason) => refuse(field, reason),
        },
    }
}

fn check_sandbox(sandbox: &Sandbox) -> Checked {
    check_count("sandbox.read_only_paths", sandbox.read_only_paths.len())?;
    check_count("sandbox.profiles", sandbox.profiles.len())?;
    for path in &sandbox.read_only_paths {
        let field = "sandbox.read_only_paths";
        let plain = Path::new(path).components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !path.starts_with('/') || !plain || path.contains('\0') || path.len() > MAX_PATH_BYTES {
            return refuse(field, format!("{path:?} must be absolute, without `..`"));
        }
        if Path::new(path) == Path::new("/") {
            return refuse(field, "the root of the host is not given away");
        }
    }
    Ok(())
}

fn check_resources(resources: &Resources) -> Checked {
    if let Some(memory) = resources.memory_max.filter(|memory| memory.as_bytes() < MIN_MEMORY) {
        return refuse("resources.memory_max", format!("{} bytes are less than {MIN_MEMORY}", memory.as_bytes()));
    }
    let counts = [
        ("resources.tasks_max", resources.tasks_max),
        ("resources.cpu_quota", resources.cpu_quota),
        ("resources.workspace_files_max", resources.workspace_files_max),
    ];
    if let Some((field, _)) = counts.into_iter().find(|(_, count)| *count == Some(0)) {
        return refuse(field, "nothing runs with 0");
    }
    let sizes = [("resources.output_max", resources.output_max), ("resources.workspace_max", resources.workspace_max)];
    match sizes.into_iter().find(|(_, size)| size.is_some_and(|size| size.as_bytes() == 0)) {
        Some((field, _)) => refuse(field, "nothing runs with 0"),
        None => Ok(()),
    }
}

fn check_words(field: &str, words: &[String]) -> Checked {
    if words.len() > MAX_COMMAND_WORDS {
        return refuse(field, format!("{} words are more than {MAX_COMMAND_WORDS}", words.len()));
    }
    for (place, word) in words.iter().enumerate() {
        check_template(&format!("{field}[{place}]"), word)?;
    }
    check_bytes(field, words.iter())
}

fn check_template(field: &str, template: &str) -> Checked {
    if template.contains('\0') {
        return refuse(field, "a NUL byte");
    }
    match pieces(template, &TEMPLATE_NAMES) {
        Ok(_) => Ok(()),
        Err(reason) => refuse(field, reason),
    }
}

fn check_bytes<'a>(field: &str, texts: impl Iterator<Item = &'a String>) -> Checked {
    let bytes: usize = texts.map(String::len).sum();
    if bytes > MAX_TEMPLATE_BYTES {
        return refuse(field, format!("{bytes} bytes are more than {MAX_TEMPLATE_BYTES}"));
    }
    Ok(())
}

fn check_count(field: &str, count: usize) -> Checked {
    if count > MAX_PROGRAM_ENTRIES {
        return refuse(field, format!("{count} are more than {MAX_PROGRAM_ENTRIES}"));
    }
    Ok(())
}

/// A plain path below a folder: relative, in one form, nothing in it that leads up.
fn check_below(field: &str, path: &str) -> Checked {
    let plain = !path.is_empty()
        && path.len() <= MAX_PATH_BYTES
        && !path.contains(char::is_control)
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if plain { Ok(()) } else { refuse(field, format!("{path:?} must be a plain relative path, without `..`")) }
}

/// A JSON Pointer (RFC 6901).
fn check_pointer(field: &str, pointer: &str) -> Checked {
    let escapes = pointer.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    if (pointer.is_empty() || pointer.starts_with('/')) && escapes && pointer.len() <= MAX_PATH_BYTES {
        return Ok(());
    }
    refuse(field, format!("{pointer:?} is not a JSON Pointer, such as /result"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentd_schemas::document::program::AgentFile;

    fn runtime() -> Runtime {
        serde_json::from_value(serde_json::json!({
            "command": ["{{ program_dir }}/fix", "--task", "{{ task_file }}"],
            "program": {
                "environment": { "EDITOR": "true" },
                "files": { ".config/fix.toml": "dir = \"{{ workspace }}\"" },
                "result": { "json": "/result" },
                "exit_codes": { "0": "done", "255": "failed" },
                "resume": ["{{ program_dir }}/fix", "--resume", "{{ session }}"],
                "session": "/session_id"
            },
            "sandbox": { "read_only_paths": ["/opt/tools"], "profiles": ["rust"] },
            "files": [{ "name": "fix", "sha256": "00", "executable": true }]
        }))
        .unwrap()
    }

    fn file(name: &str) -> AgentFile {
        AgentFile { name: name.to_owned(), sha256: String::new(), executable: false }
    }

    type Change = fn(&mut Runtime);

    #[test]
    fn what_could_never_start_is_refused_by_its_field() {
        check_runtime(&runtime()).unwrap();
        let table: [(&str, Change); 22] = [
            ("command: no program", |r| r.command.clear()),
            ("command: no program", |r| r.command[0] = " ".to_owned()),
            ("command[1]", |r| r.command[1] = "{{ tusk }}".to_owned()),
            ("command: 300 words", |r| r.command = vec!["x".to_owned(); 300]),
            ("command: 20000 bytes", |r| r.command = vec!["x".repeat(20_000)]),
            ("program.environment", |r| drop(r.program.environment.insert("A B".to_owned(), String::new()))),
            ("set by agentd", |r| drop(r.program.environment.insert("AGENTD_RUN".to_owned(), String::new()))),
            ("program.environment.A", |r| drop(r.program.environment.insert("A".to_owned(), "{{ x".to_owned()))),
            ("program.files", |r| drop(r.program.files.insert("../x".to_owned(), String::new()))),
            ("cannot both", |r| drop(r.program.files.insert(".config/fix.toml/x".to_owned(), String::new()))),
            ("program.exit_codes", |r| {
                r.program.exit_codes.insert("256".to_owned(), agentd_schemas::document::program::ExitMeaning::Done);
            }),
            ("program.exit_codes", |r| {
                r.program.exit_codes.insert("07".to_owned(), agentd_schemas::document::program::ExitMeaning::Done);
            }),
            ("program.result", |r| r.program.result = ResultFrom::File("/etc/passwd".to_owned())),
            ("program.result", |r| r.program.result = ResultFrom::File("a/{{ work }}".to_owned())),
            ("program.result", |r| r.program.result = ResultFrom::Json("result".to_owned())),
            ("program.resume", |r| r.program.session = None),
            ("program.session", |r| r.program.session = Some("/a~2".to_owned())),
            ("read_only_paths", |r| r.sandbox.read_only_paths = vec!["/srv/../etc".to_owned()]),
            ("read_only_paths", |r| r.sandbox.read_only_paths = vec!["~/x".to_owned()]),
            ("resources.tasks_max", |r| r.resources.tasks_max = Some(0)),
            ("files[1]", |r| r.files.push(file("fix/x"))),
            ("files[1]", |r| r.files.push(file("a/./b"))),
        ];
        for (expected, change) in table {
            let mut changed = runtime();
            change(&mut changed);
            let message = check_runtime(&changed).unwrap_err().message;
            assert!(message.contains(expected), "{expected}: {message}");
        }
        let mut result_file = runtime();
        result_file.program.result = ResultFrom::File("{{result_file}}".to_owned());
        check_runtime(&result_file).unwrap();
        result_file.program.result = ResultFrom::File("out/answer.md".to_owned());
        check_runtime(&result_file).unwrap();
    }
}
