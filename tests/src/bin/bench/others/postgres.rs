//! A queue written by hand on PostgreSQL: `FOR UPDATE SKIP LOCKED`, one table of works and one of events, one commit for
//! each step, as this is usually done. Driven by `pgbench`, which is a C client with prepared statements, on a cluster of
//! its own with the settings that a package comes with: `fsync` and `synchronous_commit` are on.
//!
//! It keeps the state and a row for each step. It does not hash, sign, check a policy, judge or match skills.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::Signal;

use super::installed;
use crate::client::Sample;
use crate::figures::{Better, Figures, Series};
use crate::machine::Ticks;
use crate::options::Options;
use crate::process;

const STAGE: &str = "postgres";
const TABLES: &str = "
    CREATE TABLE works (id bigserial PRIMARY KEY, state int NOT NULL DEFAULT 0, priority int NOT NULL DEFAULT 0,
        agent int, document jsonb NOT NULL, result text, changed timestamptz NOT NULL DEFAULT now());
    CREATE INDEX works_ready ON works (priority DESC, id) WHERE state = 0;
    CREATE TABLE events (id bigserial PRIMARY KEY, work bigint NOT NULL, kind text NOT NULL, actor text NOT NULL,
        body text NOT NULL, at timestamptz NOT NULL DEFAULT now());
    CREATE INDEX events_work ON events (work);";
const CLAIM: &str = "
    WITH next AS (SELECT id FROM works WHERE state = 0 ORDER BY priority DESC, id LIMIT 1 FOR UPDATE SKIP LOCKED),
    claimed AS (UPDATE works SET state = 1, agent = :client_id, changed = now() FROM next WHERE works.id = next.id
        RETURNING works.id)
    INSERT INTO events (work, kind, actor, body) SELECT id, 'claimed', 'agent', repeat('c', 300) FROM claimed
        RETURNING work AS claimed \\gset
";
const COMPLETE: &str = "
    WITH done AS (UPDATE works SET state = 2, result = repeat('r', 80), changed = now() WHERE id = :claimed RETURNING id)
    INSERT INTO events (work, kind, actor, body) SELECT id, 'completed', 'agent', repeat('d', 600) FROM done;";

pub(crate) fn stage(options: &Options, figures: &mut Figures) -> anyhow::Result<()> {
    let (Some(folder), Some(_)) = (binaries(), installed("psql")) else {
        figures.leave_out("PostgreSQL SKIP LOCKED: not installed".to_owned());
        return Ok(());
    };
    let server = Server::start(folder)?;
    let measured = measure(options, figures, &server);
    server.stop()?;
    measured
}

/// Where the newest installed version keeps its programs.
fn binaries() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .flatten()
        .map(|version| version.path().join("bin"))
        .filter(|folder| folder.join("pgbench").exists() && folder.join("postgres").exists())
        .collect();
    folders.sort();
    folders.pop()
}

fn measure(options: &Options, figures: &mut Figures, server: &Server) -> anyhow::Result<()> {
    let submit = format!(
        "WITH new AS (INSERT INTO works (document) VALUES ('{}') RETURNING id)
         INSERT INTO events (work, kind, actor, body) SELECT id, 'submitted', 'uid:0', repeat('s', 500) FROM new;",
        crate::client::document().replace(':', ": ")
    );
    let life = format!("{submit}{CLAIM}{COMPLETE}");
    let submit = server.script("submit", &submit)?;
    let life = server.script("life", &life)?;
    // Enough ready works that no client meets an empty queue.
    server.bench(&submit, 4, 1000)?;
    let mut p50 = Series::new("PostgreSQL: sequential submit, p50", "ms", Better::Less, None);
    let mut rates = [
        (Series::new("PostgreSQL: 64 concurrent submitters", "works/s", Better::More, None), &submit, 64, 400),
        (
            Series::new("PostgreSQL: submit, claim, complete: 16 workers", "works/s", Better::More, None),
            &life,
            16,
            1024,
        ),
        (Series::new("PostgreSQL: submit, claim, complete: 64 workers", "works/s", Better::More, None), &life, 64, 256),
    ];
    for _ in 0..options.repetitions {
        let (sample, foreign) = server.bench(&submit, 1, options.size(2000))?;
        p50.add(sample.p50_ms, foreign);
        for (rate, script, clients, each) in &mut rates {
            let (sample, foreign) = server.bench(script, *clients, options.size(*each))?;
            rate.add(sample.rate(), foreign);
        }
    }
    figures.take(p50, STAGE);
    for (rate, ..) in rates {
        figures.take(rate, STAGE);
    }
    Ok(())
}

/// A cluster of its own.
struct Server {
    child: Child,
    binaries: PathBuf,
    directory: PathBuf,
    /// PostgreSQL refuses to run as root.
    user: Option<&'static str>,
}

impl Server {
    fn start(binaries: PathBuf) -> anyhow::Result<Self> {
        let directory = std::env::temp_dir().join(format!("agentd-bench-postgres-{}", std::process::id()));
        std::fs::create_dir(&directory)?;
        let user = rustix::process::geteuid().is_root().then(user);
        if let Some(user) = user {
            process::output(Command::new("chown").arg(user).arg(&directory))?;
        }
        let data = directory.join("data");
        let mut initdb = as_user(user, &binaries.join("initdb"));
        process::output(initdb.arg("-D").arg(&data).args(["-U", "bench", "--auth=trust", "-E", "UTF8", "--locale=C"]))?;
        let server = as_user(user, &binaries.join("postgres"));
        let mut command = process::command(server.get_program())?;
        command.args(server.get_args()).arg("-D").arg(&data).arg("-k").arg(&directory);
        command.args(["-c", "listen_addresses=", "-c", "max_connections=100"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("PostgreSQL")?;
        let server = Self { child, binaries, directory, user };
        server.wait()?;
        server.psql(TABLES)?;
        Ok(server)
    }

    fn wait(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.psql("SELECT 1").is_err() {
            if begun.elapsed() > Duration::from_secs(30) {
                bail!("PostgreSQL does not answer");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn psql(&self, sql: &str) -> anyhow::Result<String> {
        let mut psql = Command::new("psql");
        psql.arg("-h").arg(&self.directory).args([
            "-U",
            "bench",
            "-d",
            "postgres",
            "-v",
            "ON_ERROR_STOP=1",
            "-qc",
            sql,
        ]);
        process::output(&mut psql)
    }

    fn script(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.directory.join(format!("{name}.sql"));
        // pgbench takes a statement on several lines, ended by its semicolon; a \gset ends one as well.
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Runs a script: so many clients, each so many times.
    fn bench(&self, script: &Path, clients: usize, each: usize) -> anyhow::Result<(Sample, f64)> {
        let logs = self.directory.join("log");
        std::fs::create_dir_all(&logs)?;
        let before = Ticks::now();
        let mut pgbench = process::command(self.binaries.join("pgbench"))?;
        pgbench.arg("-h").arg(&self.directory).args(["-U", "bench", "-n", "-M", "prepared", "-l", "--log-prefix"]);
        pgbench.arg(logs.join("times")).args(["-c", &clients.to_string(), "-t", &each.to_string()]);
        let output = process::output(pgbench.arg("-f").arg(script).arg("postgres"))?;
        let foreign = before.foreign_percent();
        let rate = output.lines().find_map(|line| line.strip_prefix("tps = ")).and_then(|line| line.split(' ').next());
        let rate: f64 = rate.and_then(|rate| rate.parse().ok()).context("what pgbench says")?;
        let done = format!("number of transactions actually processed: {0}/{0}", clients * each);
        if !output.contains(&done) {
            bail!("pgbench did not finish: {output}");
        }
        let latencies = times(&logs)?;
        drop(std::fs::remove_dir_all(&logs));
        Ok((Sample::of(Duration::from_secs_f64((clients * each) as f64 / rate), latencies), foreign))
    }

    fn stop(self) -> anyhow::Result<()> {
        // INT is its fast shutdown.
        process::stop(self.child, Signal::INT)?;
        let mut remove = as_user(self.user, Path::new("rm"));
        process::output(remove.arg("-rf").arg(self.directory.join("data")))?;
        std::fs::remove_dir_all(&self.directory).context("the directory of PostgreSQL")
    }
}

/// The third field of each line of a log of pgbench: microseconds.
fn times(logs: &Path) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    for file in std::fs::read_dir(logs)? {
        let text = std::fs::read_to_string(file?.path())?;
        let fields = text.lines().filter_map(|line| line.split(' ').nth(2)?.parse().ok());
        times.extend(fields.map(Duration::from_micros));
    }
    Ok(times)
}

fn user() -> &'static str {
    let known = |name: &str| Command::new("id").args(["-u", name]).output().is_ok_and(|output| output.status.success());
    if known("postgres") { "postgres" } else { "nobody" }
}

/// The program, as that user.
fn as_user(user: Option<&str>, program: &Path) -> Command {
    match user {
        None => Command::new(program),
        Some(user) => {
            let mut command = Command::new("setpriv");
            let group = if user == "nobody" { "nogroup" } else { user };
            command.args(["--reuid", user, "--regid", group, "--clear-groups", "--"]).arg(program);
            command
        }
    }
}
