//! A person at the operators' door: D-Bus on the private socket, or on a bus.

use std::path::Path;

use agentd_schemas::dbus::{BUS_NAME, ERROR_PREFIX, OBJECT_PATH};
use agentd_schemas::problem::{Code, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Runtime;
use zbus::Connection;
use zbus::connection::Builder;
use zbus::zvariant::{DynamicType, Type};

use super::eventually;

/// One connection.
#[derive(Debug)]
pub struct Operator {
    runtime: Runtime,
    connection: Connection,
    destination: Option<&'static str>,
}

impl Operator {
    /// Connects to a private socket.
    pub fn connect(socket: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
        let connection = runtime.block_on(async { Builder::unix_stream(stream).p2p().build().await }).unwrap();
        Self { runtime, connection, destination: None }
    }

    /// Connects to a bus.
    pub fn on_bus(address: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connection = runtime.block_on(async { Builder::address(address).build().await }).unwrap();
        Self { runtime, connection, destination: Some(BUS_NAME) }
    }

    /// Whether agentd has its name on the bus of this connection.
    pub fn owns_name(&self) -> bool {
        let call = self.connection.call_method(
            Some("org.freedesktop.DBus"),
            "/org/freedesktop/DBus",
            Some("org.freedesktop.DBus"),
            "NameHasOwner",
            &BUS_NAME,
        );
        self.runtime.block_on(call).is_ok_and(|reply| reply.body().deserialize().unwrap())
    }

    /// Calls a method; an error must be a problem of agentd, or of a connection that broke ([`Code::Stopping`]).
    pub fn call<T>(
        &self,
        interface: &str,
        method: &str,
        arguments: &(impl Serialize + DynamicType),
    ) -> Result<T, Problem>
    where
        T: DeserializeOwned + Type,
    {
        let interface = if interface.contains('.') { interface.to_owned() } else { format!("org.agentd1.{interface}") };
        let call =
            self.connection.call_method(self.destination, OBJECT_PATH, Some(interface.as_str()), method, arguments);
        match self.runtime.block_on(call) {
            Ok(reply) => Ok(reply.body().deserialize().unwrap()),
            Err(zbus::Error::MethodError(name, _, reply)) => Err(problem(name.as_str(), &reply)),
            Err(other) => Err(Problem::new(Code::Stopping, format!("the connection broke: {other}"))),
        }
    }

    /// Calls a method that answers with a document.
    pub fn ask(
        &self,
        interface: &str,
        method: &str,
        arguments: &(impl Serialize + DynamicType),
    ) -> Result<Value, Problem> {
        let text: String = self.call(interface, method, arguments)?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Submits one work, which must be taken; its id.
    pub fn submit(&self, document: &Value) -> String {
        let submitted = self.ask("Works", "Submit", &(document.to_string(), "")).unwrap();
        submitted["works"][0]["id"].as_str().unwrap().to_owned()
    }

    /// One work.
    pub fn work(&self, id: &str) -> Value {
        self.ask("Works", "Show", &id).unwrap()
    }

    /// The state of a work.
    pub fn state(&self, id: &str) -> String {
        self.work(id)["state"].as_str().unwrap().to_owned()
    }

    /// Waits until a work is in a state.
    pub fn until(&self, id: &str, state: &str) -> Value {
        let mut last = Value::Null;
        eventually(&format!("work {id} to be {state}"), || {
            last = self.work(id);
            (last["state"] == state).then(|| last.clone())
        })
    }

    /// Every event from the first on, as the log has it.
    pub fn events(&self) -> Vec<Value> {
        let (mut events, mut since) = (Vec::new(), 0_u64);
        loop {
            let page = self.ask("Ledger", "EventsSince", &(since, 1000_u32)).unwrap();
            let rows = page["events"].as_array().unwrap();
            if rows.is_empty() {
                return events;
            }
            events.extend(rows.iter().map(|row| serde_json::from_str(row["body"].as_str().unwrap()).unwrap()));
            since = page["next"].as_u64().unwrap();
        }
    }

    /// How many events of a type there are.
    pub fn count(&self, event_type: &str) -> usize {
        self.events().iter().filter(|event| event["type"] == event_type).count()
    }
}

fn problem(name: &str, reply: &zbus::Message) -> Problem {
    let body: Result<(String, String, String), _> = reply.body().deserialize();
    let code = name.strip_prefix(ERROR_PREFIX).unwrap_or_default();
    let code = Code::ALL.iter().copied().find(|known| known.dbus_name() == code);
    match (code, body) {
        (Some(code), Ok((message, hint, details))) => {
            let hint = Some(hint).filter(|hint| !hint.is_empty());
            Problem { code, message, hint, details: serde_json::from_str(&details).unwrap() }
        }
        _ => panic!("an error that is no problem of agentd: {name}: {reply:?}"),
    }
}
