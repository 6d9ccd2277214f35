//! The smart HTTP protocol's requests. gix says what is asked; this says it, with deadlines, and knows what an answer
//! means.
//!
//! Redirects are followed only within the same scheme, host and port: credentials stay where they belong, and no server
//! can send a node into its own network.

use std::io;
use std::sync::Arc;

use gix::protocol::transport::client::blocking_io::http::{
    GetResponse, Http, PostBodyDataKind, PostResponse, Transport,
};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode, Url};

use self::exchange::{AnswerBody, AnswerHeaders, Exchange, Upload};
use super::http_client::{HttpClient, authorization};
use super::{AnyTransport, PROTOCOL};
use crate::git::error::GitError;
use crate::git::foreign_text::said;
use crate::git::settings::GitSettings;
use crate::git::watch::Watch;
use crate::web::{causes, innermost};

mod exchange;

/// How many redirects are followed: servers add `.git` or a slash.
const REDIRECTS_MAX: usize = 4;

pub(super) fn connect(
    settings: &GitSettings,
    http: &HttpClient,
    watch: &Arc<Watch>,
) -> Result<AnyTransport, GitError> {
    let requests = Requests {
        client: http.client(settings)?,
        authorization: authorization(settings)?,
        watch: watch.clone(),
        redirected: None,
    };
    let url = gix::url::parse(settings.url.without_credentials().as_str()).map_err(|_| GitError::Broken {
        url: settings.url.clone(),
        reason: "gix does not understand the address".to_owned(),
    })?;
    Ok(Box::new(Transport::new_http(requests, url, PROTOCOL, false)))
}

/// Carries out gix's requests.
struct Requests {
    client: reqwest::Client,
    authorization: Option<HeaderValue>,
    watch: Arc<Watch>,
    /// Where the repository really is, if the server sent us there.
    redirected: Option<String>,
}

impl Requests {
    fn request(
        &self,
        method: Method,
        url: &str,
        lines: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> io::Result<reqwest::Request> {
        let url = Url::parse(url).map_err(|error| self.broken(&error.to_string()))?;
        let mut headers = HeaderMap::new();
        for line in lines {
            let named = line.as_ref().split_once(':').and_then(|(name, value)| {
                Some((
                    HeaderName::try_from(name).ok()?,
                    HeaderValue::try_from(value.trim()).ok()?,
                ))
            });
            if let Some((name, value)) = named {
                headers.append(name, value);
            }
        }
        headers.insert(reqwest::header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let mut request = reqwest::Request::new(method, url);
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// GET, following redirects within the server.
    fn get_following(
        &mut self,
        url: &str,
        base_url: &str,
        lines: &[String],
    ) -> io::Result<reqwest::Response> {
        let tail = url.strip_prefix(base_url).unwrap_or_default().to_owned();
        let mut url = match &self.redirected {
            Some(base) => format!("{base}{tail}"),
            None => url.to_owned(),
        };
        for _ in 0..=REDIRECTS_MAX {
            let request = self.request(Method::GET, &url, lines)?;
            let response = send(&self.client, request, &self.watch)?;
            if !response.status().is_redirection() {
                return accept(response, &self.watch);
            }
            url = self.redirect_target(&response)?;
            let base = url
                .strip_suffix(&tail)
                .ok_or_else(|| self.broken("it redirects to something that is no repository"))?;
            self.redirected = Some(base.to_owned());
        }
        Err(self.broken("it redirects for ever"))
    }

    fn redirect_target(&self, response: &reqwest::Response) -> io::Result<String> {
        let location = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok());
        let from = response.url();
        let Some(to) = location.and_then(|location| from.join(location).ok()) else {
            return Err(self.broken("it redirects nowhere"));
        };
        if to.origin() != from.origin() {
            let mut shown = to.clone();
            let _ = shown.set_username("");
            let _ = shown.set_password(None);
            shown.set_query(None);
            shown.set_fragment(None);
            return Err(self.watch.fail(GitError::Redirected {
                url: self.watch.url.clone(),
                to: said(shown.as_str().trim_end_matches("/info/refs")),
            }));
        }
        Ok(to.into())
    }

    fn broken(&self, reason: &str) -> io::Error {
        broken(&self.watch, reason)
    }
}

const USER_AGENT: &str = concat!("git/osier-", env!("CARGO_PKG_VERSION"));

impl Http for Requests {
    type Headers = AnswerHeaders;
    type ResponseBody = AnswerBody;
    type PostBody = Upload;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<GetResponse<AnswerHeaders, AnswerBody>, gix::Error> {
        let lines: Vec<String> = headers.into_iter().map(|line| line.as_ref().to_owned()).collect();
        let response = self
            .get_following(url, base_url, &lines)
            .map_err(gix::Error::from_error)?;
        let exchange = Exchange::answered(response, self.watch.clone());
        Ok(GetResponse {
            headers: AnswerHeaders::of(&exchange),
            body: AnswerBody::of(&exchange),
        })
    }

    fn post(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _body: PostBodyDataKind,
    ) -> Result<PostResponse<AnswerHeaders, AnswerBody, Upload>, gix::Error> {
        let tail = url.strip_prefix(base_url).unwrap_or_default();
        let url = match &self.redirected {
            Some(base) => format!("{base}{tail}"),
            None => url.to_owned(),
        };
        let request = self
            .request(Method::POST, &url, headers)
            .map_err(gix::Error::from_error)?;
        let exchange = Exchange::unsent(self.client.clone(), request, self.watch.clone());
        Ok(PostResponse {
            post_body: Upload(exchange.clone()),
            headers: AnswerHeaders::of(&exchange),
            body: AnswerBody::of(&exchange),
        })
    }

    fn configure(&mut self, _config: &dyn std::any::Any) -> Result<(), gix::Error> {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.redirected.clone()
    }
}

/// Sends a request and waits for the head of its answer.
fn send(client: &reqwest::Client, request: reqwest::Request, watch: &Watch) -> io::Result<reqwest::Response> {
    // A server may compute for a while before it answers, as long as between two pieces of an answer.
    let wait = watch.idle_wait();
    match watch.block_on(wait, "waiting for an answer took", client.execute(request))? {
        Ok(response) => Ok(response),
        Err(error) => Err(watch.fail(explain(&error, watch))),
    }
}

/// A proxy's 407 to a CONNECT, in hyper's words.
const PROXY_WANTS_LOGIN: &str = "tunnel error: proxy authorization required";

/// What a request that got no answer failed of.
fn explain(error: &reqwest::Error, watch: &Watch) -> GitError {
    let url = watch.url.clone();
    let reason = said(&innermost(error));
    if let Some(tls) = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        return match tls {
            rustls::Error::InvalidCertificate(_) => GitError::Certificate { url, reason },
            _ => GitError::Unreachable { url, reason },
        };
    }
    if error.is_timeout() {
        return GitError::TimedOut {
            url,
            step: "connecting took",
            after: watch.connect_wait(),
        };
    }
    // The HTTP library has no type for this; the text is its own, not the proxy's.
    if reason == PROXY_WANTS_LOGIN {
        let reason = format!("{reason}; see `sources.proxy`");
        return GitError::Unauthorized { url, reason };
    }
    if error.is_connect() {
        let by = watch
            .proxy
            .as_ref()
            .map(|proxy| format!(" (by the proxy {proxy})"));
        let reason = format!("{reason}{}", by.unwrap_or_default());
        return GitError::Unreachable { url, reason };
    }
    GitError::Broken { url, reason }
}

/// An answer with a status that means success, else what the status means.
fn accept(response: reqwest::Response, watch: &Watch) -> io::Result<reqwest::Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let url = watch.url.clone();
    let reason = format!("HTTP status {}", said(&status.to_string()));
    Err(watch.fail(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => GitError::Unauthorized {
            url,
            reason: format!("{reason}; see `repo.auth.token_file`"),
        },
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => GitError::Unauthorized {
            url,
            reason: format!("{reason}; see `sources.proxy`"),
        },
        StatusCode::NOT_FOUND | StatusCode::GONE => GitError::NotFound {
            url,
            reason: format!("{reason} (forges say so too where credentials are missing)"),
        },
        _ => GitError::Server { url, reason },
    }))
}

fn broken(watch: &Watch, reason: &str) -> io::Error {
    watch.fail(GitError::Broken {
        url: watch.url.clone(),
        reason: said(reason),
    })
}
