//! Who is signed in, as a cookie says. Nobody needs a password here, so the cookie needs no seal.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::message::Reply;

const NAME: &str = "session";
/// The longest name of a user.
const MAX_USER: usize = 64;

/// The user of a request.
pub(super) fn user(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|it| it.to_str().ok());
    let value = cookies
        .flat_map(|it| it.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix(NAME)?.strip_prefix('='))?;
    let user = form_urlencoded::parse(format!("user={value}").as_bytes())
        .next()
        .map(|(_, user)| user.into_owned())?;
    acceptable(&user)
}

/// A name that can be a header's value.
pub(super) fn acceptable(user: &str) -> Option<String> {
    let user = user.trim();
    let fits = !user.is_empty() && user.len() <= MAX_USER && !user.contains(char::is_control);
    fits.then(|| user.to_owned())
}

/// The user as the header that rules look at.
pub(super) fn header(user: &str) -> Option<HeaderValue> {
    HeaderValue::from_bytes(user.as_bytes()).ok()
}

/// Signs a user in.
pub(super) fn begin(reply: &mut Reply, user: &str) {
    let value: String = form_urlencoded::byte_serialize(user.as_bytes()).collect();
    set(reply, &format!("{NAME}={value}; Path=/; HttpOnly; SameSite=Lax"));
}

/// Signs whoever it is out.
pub(super) fn end(reply: &mut Reply) {
    set(reply, &format!("{NAME}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"));
}

fn set(reply: &mut Reply, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        reply.headers_mut().insert(SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_comes_back_as_it_was_signed_in() {
        let check = |user: &str| {
            let mut reply = crate::message::redirect("/");
            begin(&mut reply, user);
            let cookie = reply.headers()[SET_COOKIE].to_str().unwrap();
            let pair = cookie.split(';').next().unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, format!("theme=dark; {pair}").parse().unwrap());
            assert_eq!(super::user(&headers).as_deref(), Some(user));
        };
        check("jason");
        check("Zoë & Ørn; =x");
        check("50% more");
    }

    #[test]
    fn names_that_would_break_a_header_are_nobodys() {
        for name in ["", "  ", "a\nb", "a\0", &"x".repeat(65)] {
            assert_eq!(acceptable(name), None, "{name:?}");
        }
    }
}
