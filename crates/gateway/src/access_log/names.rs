//! Names of members that hold secrets or personal data.

use serde_json::Value;

/// What stands in place of such a value.
pub(super) const HIDDEN: &str = "[hidden]";

/// How names of members end that hold a secret, in small letters and without `_` and `-`.
const SECRET_ENDS: [&str; 17] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "secretkey",
    "signingkey",
    "encryptionkey",
    "credential",
    "credentials",
    "authorization",
    "cookie",
    "sessionid",
];
/// Names that end like one of a secret and are of none.
const NO_SECRETS: [&str; 4] = ["progresstoken", "pagetoken", "continuationtoken", "pagingtoken"];
/// How names end that are only ever of counts.
const COUNTS_END: [&str; 6] =
    ["maxtokens", "inputtokens", "outputtokens", "totaltokens", "prompttokens", "completiontokens"];
const SECRETS: [&str; 8] = ["pass", "auth", "pin", "otp", "cvv", "cvc", "jwt", "bearer"];

/// How names of members end that hold personal data.
const PERSONAL_ENDS: [&str; 13] = [
    "email",
    "emailaddress",
    "phone",
    "phonenumber",
    "mobilenumber",
    "iban",
    "ssn",
    "cardnumber",
    "birthdate",
    "dateofbirth",
    "streetaddress",
    "postaladdress",
    "ipaddress",
];
const PERSONAL: [&str; 38] = [
    "mail",
    "mobile",
    "telephone",
    "tel",
    "fax",
    "socialsecuritynumber",
    "taxid",
    "nationalid",
    "passport",
    "passportnumber",
    "driverslicense",
    "driverslicence",
    "accountnumber",
    "creditcard",
    "pan",
    "dob",
    "birthday",
    "firstname",
    "lastname",
    "fullname",
    "givenname",
    "familyname",
    "middlename",
    "maidenname",
    "surname",
    "forename",
    "address",
    "homeaddress",
    "billingaddress",
    "shippingaddress",
    "mailingaddress",
    "street",
    "zip",
    "zipcode",
    "postalcode",
    "postcode",
    "ip",
    "clientip",
];

/// How the value of a member is shown.
pub(super) enum Kind {
    Plain,
    Data,
    Hidden,
    /// Shown when they are counts, hidden otherwise.
    Counts,
}

/// How the value of a member of this name is shown.
pub(super) fn kind(name: &str) -> Kind {
    let name: String =
        name.chars().filter(|sign| sign.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    let is = |names: &[&str]| names.contains(&name.as_str());
    if is_secret(&name) {
        Kind::Hidden
    } else if let Some(one) = name.strip_suffix('s')
        && is_secret(one)
    {
        match one.ends_with("token") {
            true if ends(&COUNTS_END) => Kind::Plain,
            true => Kind::Counts,
            false => Kind::Hidden,
        }
    } else if is(&PERSONAL) || ends(&PERSONAL_ENDS) {
        Kind::Hidden
    } else if is(&["data", "blob"]) {
        Kind::Data
    } else {
        Kind::Plain
    }
}

fn is_secret(name: &str) -> bool {
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    SECRETS.contains(&name) || ends(&SECRET_ENDS) && !ends(&NO_SECRETS)
}

/// Whether this is how many there are, and not what they are.
pub(super) fn are_counts(value: &Value) -> bool {
    let is_one = |value: &Value| matches!(value, Value::Number(_) | Value::Null);
    match value {
        Value::Array(values) => values.iter().all(is_one),
        Value::Object(members) => members.values().all(is_one),
        value => is_one(value),
    }
}
