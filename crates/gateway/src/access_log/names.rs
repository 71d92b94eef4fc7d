//! Names of members that hold secrets or personal data.

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
}

/// How the value of a member of this name is shown.
pub(super) fn kind(name: &str) -> Kind {
    let name: String =
        name.chars().filter(|sign| sign.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    let is = |names: &[&str]| names.contains(&name.as_str());
    let is_secret = is(&SECRETS) || ends(&SECRET_ENDS) && !ends(&NO_SECRETS);
    if is_secret || is(&PERSONAL) || ends(&PERSONAL_ENDS) {
        Kind::Hidden
    } else if is(&["data", "blob"]) {
        Kind::Data
    } else {
        Kind::Plain
    }
}
