//! The environment variables of this process. They are read, never set.

/// The variable exists and is not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("environment variable {name} is not valid UTF-8; set it to plain text or unset it")]
pub struct NotUtf8 {
    /// The variable's name.
    pub name: String,
}

/// The value of `name`, or `None` when it is unset. A value that is set and empty is `Some("")`.
#[allow(clippy::disallowed_methods)] // the one place that reads the environment
pub fn var(name: &str) -> Result<Option<String>, NotUtf8> {
    std::env::var_os(name).map(|value| value.into_string().map_err(|_| NotUtf8 { name: name.to_owned() })).transpose()
}

#[cfg(test)]
mod tests {
    use super::super::scratch;
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    #[ignore = "the second process of `a_value_that_is_not_utf8_is_an_error_and_not_an_absence`"]
    fn child_reads_three_variables() {
        assert_eq!(var("AGENTD_TEST_PLAIN"), Ok(Some("été".to_owned())));
        assert_eq!(var("AGENTD_TEST_EMPTY"), Ok(Some(String::new())));
        assert_eq!(var("AGENTD_TEST_RAW"), Err(NotUtf8 { name: "AGENTD_TEST_RAW".to_owned() }));
    }

    #[test]
    fn a_value_that_is_not_utf8_is_an_error_and_not_an_absence() {
        assert!(scratch::passes(
            scratch::child("sys::env::tests::child_reads_three_variables")
                .env("AGENTD_TEST_PLAIN", "été")
                .env("AGENTD_TEST_EMPTY", "")
                .env("AGENTD_TEST_RAW", OsStr::from_bytes(b"\xff"))
        ));
    }

    #[test]
    fn an_unset_variable_is_none() {
        assert_eq!(var("AGENTD_TEST_NEVER_SET"), Ok(None));
    }
}
