//! Certificates of a host's keys: its authority signs the issuer key and the log key, once.

use data_encoding::BASE64;

use super::openssh::{PrivateKey, PublicKey};

/// The keys that are certified, in the order of their certificates.
const ROLES: [&str; 2] = ["issuer", "log"];

/// Why the certificates of a host's keys were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not one for each key.
    #[error("{found} key certificates stand there, two are expected: for the issuer key and for the log key")]
    Count {
        /// How many there are.
        found: usize,
    },
    /// Not the form of a signature.
    #[error("the certificate of the {role} key is not base64 of 64 bytes")]
    Form {
        /// Which key.
        role: &'static str,
    },
    /// The authority did not sign this.
    #[error("the certificate of the {role} key was not signed by the authority {authority}")]
    Signature {
        /// Which key.
        role: &'static str,
        /// Fingerprint of the authority.
        authority: String,
    },
}

/// What the authority signs: four lines, so that nothing signed for one role can stand for another.
fn text(role: &str, trust_domain: &str, key: &PublicKey) -> String {
    format!("agentd-host-key-v1\n{role}\n{trust_domain}\n{key}\n")
}

/// Signatures (base64) of the authority that bind issuer and log key to this trust domain.
pub fn certify(authority: &PrivateKey, trust_domain: &str, issuer: &PublicKey, log: &PublicKey) -> Vec<String> {
    let signed = |(role, key): (&&str, &PublicKey)| authority.sign(text(role, trust_domain, key).as_bytes());
    ROLES.iter().zip([issuer, log]).map(|each| BASE64.encode(&signed(each))).collect()
}

/// Checks what [`certify`] has made.
pub fn check(
    certificates: &[String],
    authority: &PublicKey,
    trust_domain: &str,
    issuer: &PublicKey,
    log: &PublicKey,
) -> Result<(), CertificateError> {
    if certificates.len() != ROLES.len() {
        return Err(CertificateError::Count { found: certificates.len() });
    }
    for ((role, key), certificate) in ROLES.into_iter().zip([issuer, log]).zip(certificates) {
        let signature = BASE64.decode(certificate.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        let signature: [u8; 64] = signature.ok_or(CertificateError::Form { role })?;
        let signed = authority.verify(text(role, trust_domain, key).as_bytes(), &signature);
        signed.map_err(|_| CertificateError::Signature { role, authority: authority.fingerprint() })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_holds_for_its_key_its_role_and_its_trust_domain_alone() {
        let [authority, issuer, log] = [1, 2, 3].map(|seed| PrivateKey::from_seed(&[seed; 32]));
        let [root, issuer, log] = [authority.public_key(), issuer.public_key(), log.public_key()];
        let good = certify(&authority, "h-1.example", &issuer, &log);
        let says = |certificates: &[String], by: &PublicKey, domain, issuer: &PublicKey, log: &PublicKey| {
            check(certificates, by, domain, issuer, log).map_err(|error| error.to_string())
        };
        assert_eq!(says(&good, &root, "h-1.example", &issuer, &log), Ok(()));
        let by = root.fingerprint();
        let issuer_refused = Err(format!("the certificate of the issuer key was not signed by the authority {by}"));
        assert_eq!(says(&good, &root, "h-2.example", &issuer, &log), issuer_refused);
        assert_eq!(says(&good, &root, "h-1.example", &log, &issuer), issuer_refused);
        let log_refused = Err(format!("the certificate of the log key was not signed by the authority {by}"));
        assert_eq!(says(&good, &root, "h-1.example", &issuer, &root), log_refused);
        assert!(says(&good, &log, "h-1.example", &issuer, &log).is_err());
        let swapped = [good[1].clone(), good[0].clone()];
        assert_eq!(says(&swapped, &root, "h-1.example", &issuer, &log), issuer_refused);
        assert!(says(&good[..1], &root, "h-1.example", &issuer, &log).unwrap_err().starts_with("1 key certificates"));
        let bad = [good[0].clone(), "AAAA".to_owned()];
        let form = says(&bad, &root, "h-1.example", &issuer, &log).unwrap_err();
        assert_eq!(form, "the certificate of the log key is not base64 of 64 bytes");
    }
}
