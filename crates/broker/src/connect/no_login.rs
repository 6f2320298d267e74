//! Why a login fails, for the engineer; the client is told next to nothing of it.

use dockside_access::jwt::Refused;
use dockside_mqtt::ReasonCode;
use dockside_mqtt::packet::Connect;

use super::refusal::Refusal;
use crate::access::{NoLogin, NoToken, NotAllowed, Wrong};
use crate::metrics::Rejected;
use crate::refusals::Stage;

/// The sentence, and the remedy.
type Said = (&'static str, &'static str);

/// What comes of a login that failed.
pub(super) fn no_login(connect: &Connect<'_>, why: NoLogin) -> Refusal {
    let wrong = |(detail, remedy): Said| {
        let told = (ReasonCode::BadUserNameOrPassword, detail);
        Refusal::told(connect, Rejected::BadCredentials, told, remedy)
    };
    let unknown = |(detail, remedy): Said| {
        let told = (ReasonCode::ServerUnavailable, detail);
        Refusal::told(connect, Rejected::Unavailable, told, remedy).at(Stage::Password)
    };
    match why {
        NoLogin::Anonymous => {
            let told = (ReasonCode::NotAuthorized, "no user name");
            let remedy =
                "give the client a user name and a password (mqtt.allow_anonymous is false)";
            Refusal::told(connect, Rejected::NotAuthorized, told, remedy).at(Stage::Password)
        }
        NoLogin::AnotherName => wrong((
            "another user name than the client's certificate has",
            "leave the client's user name out, or make it the one in its certificate (the common name; with client_identity = \"san\" the first DNS name)",
        )),
        NoLogin::Wrong(Wrong::TooMany) | NoLogin::Http(NotAllowed::TooMany) => {
            let told = (ReasonCode::ConnectionRateExceeded, "too many failed attempts");
            let remedy = "correct the client's password; it is let in again some seconds after its last attempt";
            Refusal::told(connect, Rejected::BadCredentials, told, remedy)
        }
        NoLogin::Wrong(Wrong::Unverified) => unknown((
            "the password could not be verified",
            "the machine is short of memory or threads; the log says more",
        )),
        NoLogin::Wrong(Wrong::User) => wrong((
            "no such user",
            "there is no such user: add it with `dockside passwd FILE USER` and reload, or correct the client's user name; a token is three parts of base64url with dots between",
        )),
        NoLogin::Wrong(Wrong::Password) if connect.password.is_none() => {
            wrong(("a user name without a password", "give the client its password"))
        }
        NoLogin::Wrong(Wrong::Password) => wrong((
            "wrong password",
            "correct the client's password, or set it with `dockside passwd FILE USER` and reload",
        )),
        NoLogin::Token(no_token) => wrong(said_of_token(no_token)),
        NoLogin::Http(not_allowed) if not_allowed.is_unknown() => {
            unknown(said_of_server(not_allowed))
        }
        NoLogin::Http(not_allowed) => wrong(said_of_server(not_allowed)),
    }
}

fn said_of_token(why: NoToken) -> Said {
    let refused = match why {
        NoToken::OtherName => {
            return (
                "the user name is not that of the token",
                "give the client the user name that is in the token (users.jwt.user_claim), or none",
            );
        }
        NoToken::InFile => {
            return (
                "the token's user is in the password file",
                "such a user logs in with its password only: take it out of users.password_file and reload, or give it that password",
            );
        }
        NoToken::Refused(refused) => refused,
    };
    match refused {
        Refused::Malformed => (
            "the token cannot be read",
            "the password looks like a JSON Web Token and is none, or has a critical header (crit) that is not known; see how the client gets it",
        ),
        Refused::Algorithm => (
            "the token is signed with another algorithm",
            "let the issuer sign with users.jwt.algorithm, or set that to what it signs with, with the key for it",
        ),
        Refused::Signature => (
            "the token's signature is wrong",
            "it was made with another key, or changed on the way: compare users.jwt.key_file with the issuer's key; a restart reads it again",
        ),
        Refused::Expired => (
            "the token has expired",
            "renew the token and connect again; if it is new, compare the clocks of issuer and broker (`dockside clock`)",
        ),
        Refused::NotYet => (
            "the token is not valid yet",
            "compare the clocks of issuer and broker (`dockside clock`); small differences are what users.jwt.leeway_s is for",
        ),
        Refused::Issuer => (
            "the token is another issuer's",
            "its iss must be users.jwt.issuer; correct one of the two",
        ),
        Refused::Audience => (
            "the token is for somebody else",
            "its aud must be or hold users.jwt.audience; correct one of the two",
        ),
        Refused::NoExpiry => (
            "the token has no end",
            "let the issuer set exp: a token that is valid for ever cannot be taken back",
        ),
        Refused::NoUser => (
            "the token does not say whose it is",
            "let the issuer set the claim that users.jwt.user_claim names, or name the one that it sets",
        ),
        Refused::Claim => (
            "a claim of the token is not what it should be",
            "exp and nbf are numbers of seconds, the user is a text of 1 to 256 bytes, groups are such a text or a list of 64 at most",
        ),
    }
}

fn said_of_server(why: NotAllowed) -> Said {
    match why {
        NotAllowed::Denied | NotAllowed::TooMany => (
            "the server of users.http.url says no",
            "add the user there, or correct the client's user name or password; an answer is remembered for users.http.cache_ms",
        ),
        NotAllowed::Unclear => (
            "the answer of the server of users.http.url is neither allow nor deny",
            "it must be status 200 with the JSON object {\"result\":\"allow\"} of 4096 bytes at most; see its log, and docs/security.md",
        ),
        NotAllowed::NoText => (
            "the password is no text",
            "a password that is not UTF-8 cannot be sent to users.http.url; give the client another one",
        ),
        NotAllowed::Busy => (
            "too many logins wait for the server of users.http.url",
            "it answers too slowly for so many clients at once; they come in as they try again, and users.http.connections may be raised",
        ),
        NotAllowed::Late => (
            "the server of users.http.url did not answer in time",
            "see whether it runs and why it is slow; the time is users.http.timeout_ms",
        ),
        NotAllowed::Broken => (
            "the server of users.http.url cannot be asked",
            "see whether it runs and can be reached from here, and its log; the broker's log says more",
        ),
        NotAllowed::Redirected => (
            "the server of users.http.url sends on to another address",
            "redirections are not followed: put the last address into users.http.url",
        ),
    }
}
