//! Answers and errors as they cross D-Bus.
//!
//! An error has the name `org.agentd1.Error.` and the code's name, and a body of three strings: message, hint, and the
//! details as a JSON object.

use agentd_schemas::dbus::ERROR_PREFIX;
use agentd_schemas::problem::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zbus::message::{Header, Message};
use zbus::names::ErrorName;

use crate::api::document;
use crate::api::internal::outside;

/// What a method answers.
pub(super) type Result<T> = std::result::Result<T, Refusal>;

/// A problem on its way out.
#[derive(Debug)]
pub(super) struct Refusal(Problem);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(outside(problem))
    }
}

impl zbus::DBusError for Refusal {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        let details = serde_json::to_string(&self.0.details).unwrap_or_default();
        let hint = self.0.hint.as_deref().unwrap_or_default();
        Message::error(call, self.name()).build(&(self.0.message.as_str(), hint, details))
    }

    fn name(&self) -> ErrorName<'_> {
        let name = format!("{ERROR_PREFIX}{}", self.0.code.dbus_name());
        // Every code's name is a valid element; a test holds that.
        ErrorName::try_from(name).unwrap_or(ErrorName::from_static_str_unchecked("org.agentd1.Error.Internal"))
    }

    fn description(&self) -> Option<&str> {
        Some(&self.0.message)
    }
}

/// A document of the answer.
pub(super) fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Refusal::from(Problem::internal(error)))
}

/// A document of the request.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T> {
    document::read(text.as_bytes()).map_err(Refusal::from)
}

#[cfg(test)]
mod tests {
    use super::Refusal;
    use agentd_schemas::problem::{Code, Problem};
    use zbus::DBusError;
    use zbus::message::Message;

    #[test]
    fn every_code_has_its_own_error_name() {
        for code in Code::ALL {
            let refusal = Refusal(Problem::new(*code, "no"));
            assert_eq!(refusal.name().as_str(), format!("org.agentd1.Error.{}", code.dbus_name()));
        }
    }

    #[test]
    fn an_error_carries_message_hint_and_details() {
        let call = Message::method_call("/org/agentd1", "Submit").build(&()).unwrap();
        let problem = Problem::new(Code::StaleFence, "the lease is over").hint("claim again").detail("fence", "1.7");
        let reply = Refusal(problem).create_reply(&call.header()).unwrap();
        assert_eq!(reply.header().error_name().unwrap().as_str(), "org.agentd1.Error.StaleFence");
        let (message, hint, details): (String, String, String) = reply.body().deserialize().unwrap();
        assert_eq!((message.as_str(), hint.as_str()), ("the lease is over", "claim again"));
        assert_eq!(details, r#"{"fence":"1.7"}"#);
    }

    #[test]
    fn an_error_without_hint_and_details_has_the_same_three_strings() {
        let call = Message::method_call("/org/agentd1", "Submit").build(&()).unwrap();
        let reply = Refusal(Problem::new(Code::Busy, "busy")).create_reply(&call.header()).unwrap();
        let body: (String, String, String) = reply.body().deserialize().unwrap();
        assert_eq!(body, ("busy".to_owned(), String::new(), "{}".to_owned()));
    }
}
