//! The subject of a certificate as text: RFC 4514.

use std::fmt::Write;
use x509_parser::{
    asn1_rs::ToDer,
    prelude::{AttributeTypeAndValue, FromDer, X509Certificate},
};

/// The subject of a certificate in DER, as RFC 4514 writes it: `CN=admin,O=KiteDB,C=DE`, the last first. `None`: it cannot be read.
pub(super) fn subject_of(certificate: &[u8]) -> Option<String> {
    let (rest, certificate) = X509Certificate::from_der(certificate).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let parts = certificate.subject().iter_rdn().map(|part| {
        let attributes: Option<Vec<String>> = part.iter().map(text_of).collect();
        attributes.map(|attributes| attributes.join("+"))
    });
    let mut parts: Vec<String> = parts.collect::<Option<_>>()?;
    parts.reverse();
    Some(parts.join(","))
}

fn text_of(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    let number = attribute.attr_type().to_id_string();
    match (name_of(&number), attribute.as_str()) {
        (Some(name), Ok(value)) => Some(format!("{name}={}", escaped(value))),
        // What has no name, or no text, is told by its bytes.
        (name, _) => {
            let mut text = format!("{}=#", name.unwrap_or(&number));
            for byte in attribute.attr_value().to_der_vec().ok()? {
                write!(text, "{byte:02x}").ok()?;
            }
            Some(text)
        }
    }
}

/// Those of RFC 4514, and two more that certificates of machines have.
fn name_of(number: &str) -> Option<&'static str> {
    Some(match number {
        "2.5.4.3" => "CN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return None,
    })
}

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', c]),
            '#' if at == 0 => text.push_str("\\#"),
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            '\0' => text.push_str("\\00"),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair};

    fn subject(attributes: Vec<(DnType, DnValue)>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in attributes {
            params.distinguished_name.push(kind, value);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn a_subject_is_written_as_rfc_4514_says() {
        let text = |value: &str| DnValue::Utf8String(value.to_owned());
        let certificate = subject(vec![
            (DnType::CountryName, DnValue::PrintableString("DE".try_into().unwrap())),
            (DnType::OrganizationName, text("Smith, \"Sons\" + x\\,CN=admin")),
            (DnType::OrganizationalUnitName, text("# of ")),
            (DnType::CommonName, text("J\u{fc}rgen\0")),
        ]);
        assert_eq!(
            subject_of(&certificate).unwrap(),
            "CN=J\u{fc}rgen\\00,OU=\\# of\\ ,O=Smith\\, \\\"Sons\\\" \\+ x\\\\\\,CN=admin,C=DE"
        );
        let unnamed = subject(vec![(DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 99]), text("a"))]);
        assert_eq!(subject_of(&unnamed).unwrap(), "1.3.6.1.4.1.99=#0c0161");
        let utf16 = subject(vec![(DnType::CommonName, DnValue::BmpString("admin".try_into().unwrap()))]);
        assert_eq!(subject_of(&utf16).unwrap(), "CN=#1e0a00610064006d0069006e");
        let mut longer = certificate;
        longer.push(0);
        assert_eq!((subject_of(&longer), subject_of(b"x")), (None, None));
    }
}
