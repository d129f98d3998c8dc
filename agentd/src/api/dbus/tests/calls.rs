use std::os::fd::OwnedFd;

use agentd_schemas::dbus::{LedgerProxy, OBJECT_PATH, WorksProxy};
use agentd_schemas::view::{SubmittedView, WorkPage};
use futures_util::StreamExt;
use futures_util::future::join_all;
use zbus::message::{Flags, Message};

use super::{call, serve};

#[tokio::test]
async fn a_work_is_submitted_and_listed() {
    let served = serve().await;
    let works = WorksProxy::new(&served.client).await.unwrap();
    let submitted = works.submit(r#"{"title": "Count the sheep"}"#, "").await.unwrap();
    let submitted: SubmittedView = serde_json::from_str(&submitted).unwrap();
    let page: WorkPage = serde_json::from_str(&works.list("{}").await.unwrap()).unwrap();
    assert_eq!(
        page.works.iter().map(|row| row.id).collect::<Vec<_>>(),
        submitted.works.iter().map(|w| w.id).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_document_that_is_refused_says_where_and_what_to_do() {
    let served = serve().await;
    let (name, [message, hint, details]) =
        call::<String>(&served.client, ("Works", "Submit"), &(r#"{"titel": "a"}"#, "")).await.unwrap_err();
    assert_eq!(name, "org.agentd1.Error.InvalidDocument");
    assert!(message.contains("titel") && hint.contains("title"), "{message} {hint}");
    let details: serde_json::Value = serde_json::from_str(&details).unwrap();
    assert_eq!(details["line"], 1);
}

#[tokio::test]
async fn an_error_of_the_engine_keeps_its_code() {
    let served = serve().await;
    let gone = call::<String>(&served.client, ("Works", "Show"), &"w-aaaaaaaaaaaaaaaa").await.unwrap_err();
    assert_eq!(gone.0, "org.agentd1.Error.NotFound");
}

#[tokio::test]
async fn more_calls_than_may_be_open_are_all_answered() {
    let served = serve().await;
    let works = WorksProxy::new(&served.client).await.unwrap();
    let answers = join_all((0..600).map(|n| {
        let works = works.clone();
        async move { works.submit(&format!(r#"{{"title": "{n}"}}"#), "").await }
    }));
    assert_eq!(answers.await.into_iter().flatten().count(), 600);
}

#[tokio::test]
async fn calls_that_ask_for_no_answer_count_until_they_are_done() {
    let served = serve().await;
    let message = || {
        let call = Message::method_call(OBJECT_PATH, "Submit").interface("org.agentd1.Works");
        call.with_flags(Flags::NO_REPLY_EXPECTED).build(&(r#"{"title": "a"}"#, "")).unwrap()
    };
    for _ in 0..600 {
        served.client.send(&message()).await.unwrap();
    }
    call::<String>(&served.client, ("Works", "Show"), &"w-aaaaaaaaaaaaaaaa").await.unwrap_err();
}

#[tokio::test]
async fn a_large_document_goes_through_and_a_larger_one_is_refused() {
    let served = serve().await;
    let long = |bytes: usize| format!(r#"{{"title": "a", "inputs": "{}"}}"#, "x".repeat(bytes));
    call::<String>(&served.client, ("Works", "Submit"), &(long(512 << 10), "")).await.unwrap();
    let refused = call::<String>(&served.client, ("Works", "Submit"), &(long(9 << 20), "")).await.unwrap_err();
    assert_eq!(refused.0, "org.agentd1.Error.TooLarge");
    call::<String>(&served.client, ("Works", "Submit"), &(long(10), "")).await.unwrap();
}

#[tokio::test]
async fn a_message_beyond_the_bound_ends_the_connection() {
    let served = serve().await;
    let message =
        Message::method_call(OBJECT_PATH, "Check").interface("org.agentd1.Works").with_flags(Flags::NO_REPLY_EXPECTED);
    let message = message.build(&"x".repeat((16 << 20) + 1)).unwrap();
    // It is never read whole, so it is never sent whole.
    tokio::select! {
        sent = served.client.send(&message) => panic!("{sent:?}"),
        () = served.server.closed() => {}
    }
}

#[tokio::test]
async fn a_follower_is_told_that_the_log_grew() {
    let served = serve().await;
    let ledger = LedgerProxy::new(&served.client).await.unwrap();
    let mut appended = ledger.receive_appended().await.unwrap();
    ledger.subscribe().await.unwrap();
    let before = *served.engine.size().borrow();
    call::<String>(&served.client, ("Works", "Submit"), &(r#"{"title": "a"}"#, "")).await.unwrap();
    let told = appended.next().await.unwrap();
    assert!(*told.args().unwrap().size() > before);
}

#[tokio::test]
async fn a_descriptor_arrives_and_is_written() {
    let served = serve().await;
    let (mut read, write) = std::io::pipe().unwrap();
    let ledger = LedgerProxy::new(&served.client).await.unwrap();
    let events = ledger.export(OwnedFd::from(write).into(), false, false).await.unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut read, &mut text).unwrap();
    assert!(events > 0 && text.lines().count() as u64 >= events, "{events} {text}");
}

#[tokio::test]
async fn a_follower_does_not_hold_the_connection_open() {
    let served = serve().await;
    LedgerProxy::new(&served.client).await.unwrap().subscribe().await.unwrap();
    served.door.followers.end();
    drop(served.door);
    served.server.graceful_shutdown().await;
    served.client.closed().await;
}
