//! The door as a client sees it, over a socket pair and in front of a real engine.

mod calls;
mod introspection;

use std::sync::Arc;

use agentd_schemas::dbus::OBJECT_PATH;
use zbus::Connection;
use zbus::connection::Builder;

use super::door::Door;
use super::private::greet;
use crate::engine::Engine;
use crate::engine::trial;
use crate::policy::Caller;
use crate::sys::scratch::Scratch;

/// A daemon without its loops, and an operator's connection to it.
struct Served {
    client: Connection,
    server: Connection,
    engine: Engine,
    door: Arc<Door>,
    _state: Scratch,
}

async fn serve() -> Served {
    let (engine, state) = trial::engine().await;
    let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
    let uid = rustix::process::geteuid().as_raw();
    let door = Arc::new(Door::of_peer(engine.clone(), Caller::person(uid, true, false), None));
    let client = Builder::unix_stream(theirs.into_std().unwrap()).p2p();
    let (server, client) = tokio::join!(greet(ours, door.clone()), client.build());
    Served { client: client.unwrap(), server: server.unwrap(), engine, door, _state: state }
}

/// Calls a method and gives the answer, or the name of the error and its three strings.
async fn call<T>(
    client: &Connection,
    method: (&str, &str),
    arguments: &(impl serde::Serialize + zbus::DynamicType),
) -> Result<T, (String, [String; 3])>
where
    T: serde::de::DeserializeOwned + zbus::Type,
{
    let interface = format!("org.agentd1.{}", method.0);
    match client.call_method(None::<&str>, OBJECT_PATH, Some(interface.as_str()), method.1, arguments).await {
        Ok(reply) => Ok(reply.body().deserialize().unwrap()),
        Err(zbus::Error::MethodError(name, _, reply)) => {
            let (message, hint, details) = reply.body().deserialize().unwrap();
            Err((name.to_string(), [message, hint, details]))
        }
        Err(error) => panic!("{error}"),
    }
}
