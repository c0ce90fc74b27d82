//! `GET` and `POST /account/picture`: the picture by which others know who has the account.
//!
//! It is uploaded as any client uploads one, once it was decoded, and set as any client sets it, so that rooms see it.

use axum::body::Body;
use axum::extract::Multipart;
use axum::extract::multipart::{Field, MultipartRejection};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{StatusCode, header};
use maud::{Markup, html};
use myelin_auth::Browser;
use myelin_media::{File, Method, NewFile, ThumbnailError, UploadError, Wanted};
use myelin_users::ProfileKey;
use ruma::OwnedMxcUri;
use serde_json::value::to_raw_value;

use super::profile::{failed, field, shown};
use super::sign_in_first;
use crate::browser::Visit;
use crate::guard::{FIELD, shown_here};
use crate::next::PICTURE;
use crate::pages::alert;
use crate::problem::Problem;
use crate::wish::Wish;

/// The largest picture, in bytes.
const MAX_PICTURE: usize = 10 << 20;
/// The largest form, in bytes. What a larger picture has too much is read and dropped, so that its sender is told.
pub(crate) const MAX_BODY: usize = 64 << 20;
/// The longest value of another field, in bytes.
const MAX_FIELD: usize = 1_024;
/// The size in which the page shows it, in pixels.
const SHOWN: u32 = 96;

/// Why a picture is not taken.
enum Refusal {
    /// There is none in the form.
    None,
    /// It is larger than [`MAX_PICTURE`], or than the operator allows.
    TooLarge,
    /// It is no picture, or a broken one.
    NoPicture,
    /// The user has as much here as they may, or may not have this.
    NotAllowed,
    /// Too much is going on.
    Busy,
    /// The account is suspended.
    Suspended,
}

/// The picture of who is signed in.
pub(crate) async fn get(visit: Visit) -> Response {
    let found = match &visit.browser {
        Some(browser) => file(&visit, browser).await,
        None => Ok(None),
    };
    let answer = match found {
        Ok(Some(file)) => serve(&visit, &file).await,
        Ok(None) => Ok(StatusCode::NOT_FOUND.into_response()),
        Err(problem) => Err(problem),
    };
    visit.answer(answer)
}

/// Takes another one.
pub(crate) async fn post(visit: Visit, form: Result<Multipart, MultipartRejection>) -> Response {
    let result = change(&visit, form).await;
    visit.answer(result)
}

async fn change(visit: &Visit, form: Result<Multipart, MultipartRejection>) -> Result<Response, Problem> {
    let mut form = form.map_err(|_| Problem::Form)?;
    let next = next(&mut form).await?;
    // What the form repeats comes before the picture, of which nothing is read for strangers.
    if next.name() != Some(FIELD) || !shown_here(&visit.pages, &visit.headers, &text(next).await?) {
        return Err(Problem::Form);
    }
    let Some(browser) = &visit.browser else { return Ok(sign_in_first(visit, &Wish::Profile)) };
    visit.count(browser)?;
    let next = self::next(&mut form).await?;
    // Somebody else signed in meanwhile, in another window.
    if next.name() != Some("user") || text(next).await? != browser.user_id.as_str() {
        return shown(visit, browser, StatusCode::OK, &html! {}).await;
    }
    let picture = whole(self::next(&mut form).await?).await?;
    let say = &visit.messages().profile;
    let (status, message) = match keep(visit, browser, picture).await? {
        Ok(()) => {
            return shown(visit, browser, StatusCode::OK, &super::menu::note(Some(&say.picture_saved))).await;
        }
        Err(Refusal::None) => (StatusCode::BAD_REQUEST, &say.picture_none),
        Err(Refusal::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, &say.picture_large),
        Err(Refusal::NoPicture) => (StatusCode::BAD_REQUEST, &say.picture_unknown),
        Err(Refusal::NotAllowed) => (StatusCode::FORBIDDEN, &say.picture_quota),
        Err(Refusal::Busy) => (StatusCode::SERVICE_UNAVAILABLE, &visit.messages().common.busy),
        Err(Refusal::Suspended) => (StatusCode::FORBIDDEN, &say.suspended),
    };
    shown(visit, browser, status, &alert(Some(html! { (message) }))).await
}

async fn next(form: &mut Multipart) -> Result<Field<'_>, Problem> {
    form.next_field().await.ok().flatten().ok_or(Problem::Form)
}

/// A short field.
async fn text(mut field: Field<'_>) -> Result<String, Problem> {
    let mut text = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(|_| Problem::Form)? {
        if text.len() + piece.len() > MAX_FIELD {
            return Err(Problem::Form);
        }
        text.extend_from_slice(&piece);
    }
    String::from_utf8(text).map_err(|_| Problem::Form)
}

/// The picture; without an end where it is too large.
async fn whole(mut field: Field<'_>) -> Result<Option<Bytes>, Problem> {
    let (mut bytes, mut fits) = (BytesMut::new(), true);
    while let Some(piece) = field.chunk().await.map_err(|_| Problem::Form)? {
        fits = fits && bytes.len() + piece.len() <= MAX_PICTURE;
        if fits {
            bytes.extend_from_slice(&piece);
        } else {
            bytes = BytesMut::new();
        }
    }
    Ok(fits.then(|| bytes.freeze()))
}

async fn keep(
    visit: &Visit,
    browser: &Browser,
    picture: Option<Bytes>,
) -> Result<Result<(), Refusal>, Problem> {
    let (media, users) = (&visit.pages.media, &visit.pages.users);
    let requester = visit.pages.auth.acting(browser).await?;
    if requester.is_suspended {
        return Ok(Err(Refusal::Suspended));
    }
    let Some(bytes) = picture else { return Ok(Err(Refusal::TooLarge)) };
    if bytes.is_empty() {
        return Ok(Err(Refusal::None));
    }
    let kind = match media.picture_type(bytes.clone()).await {
        Ok(kind) => kind,
        Err(ThumbnailError::Unsupported | ThumbnailError::Broken) => return Ok(Err(Refusal::NoPicture)),
        Err(ThumbnailError::TooLarge) => return Ok(Err(Refusal::TooLarge)),
        Err(ThumbnailError::Busy) => return Ok(Err(Refusal::Busy)),
        Err(ThumbnailError::Storage(error)) => return Err(broken(&error)),
    };
    let size = u64::try_from(bytes.len()).ok();
    let file = NewFile { content_type: Some(kind.to_owned()), filename: None, declared_size: size };
    let body = stream::iter([Ok::<_, std::convert::Infallible>(bytes)]);
    let uri = match media.upload(&requester, file, body).await {
        Ok(uri) => uri,
        Err(UploadError::TooLarge { .. }) => return Ok(Err(Refusal::TooLarge)),
        Err(UploadError::TooMany) => return Ok(Err(Refusal::Busy)),
        Err(UploadError::OverQuota | UploadError::Quarantined) => return Ok(Err(Refusal::NotAllowed)),
        Err(error) => return Err(broken(&error)),
    };
    let value = to_raw_value(&uri).map_err(|error| broken(&error))?;
    let set = users.set_profile_field(&requester, &browser.user_id, &ProfileKey::AvatarUrl, &value).await;
    set.map(Ok).map_err(|error| failed(&error))
}

fn broken(error: &dyn std::error::Error) -> Problem {
    tracing::error!(%error, "a picture could not be kept or shown");
    Problem::Failed
}

/// The thumbnail, if the account has a picture here. What a client has set may be anything.
async fn file(visit: &Visit, browser: &Browser) -> Result<Option<File>, Problem> {
    let Some(uri) = field(visit, browser, &ProfileKey::AvatarUrl).await? else { return Ok(None) };
    let uri = OwnedMxcUri::from(uri);
    let Ok((server, media_id)) = uri.parts() else { return Ok(None) };
    let wanted = Wanted { width: SHOWN, height: SHOWN, method: Method::Crop, animated: false };
    match visit.pages.media.thumbnail(server, media_id, wanted).await {
        Ok(file) => Ok(file),
        Err(ThumbnailError::Storage(error)) => Err(broken(&error)),
        Err(_) => Ok(None),
    }
}

async fn serve(visit: &Visit, file: &File) -> Result<Response, Problem> {
    let blob = visit.pages.media.read(file).await.map_err(|error| broken(&error))?;
    let headers = [
        (header::CONTENT_TYPE, file.content_type.as_str()),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox; frame-ancestors 'none'"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    Ok((headers, Body::from_stream(blob.bytes)).into_response())
}

/// The part of the profile's page that is about it.
pub(super) fn part(visit: &Visit, browser: &Browser, has_one: bool) -> Markup {
    let say = &visit.messages().profile;
    html! {
        @if has_one {
            p { img.avatar src=(PICTURE) alt=(say.picture_alt) width=(SHOWN) height=(SHOWN); }
        }
        form method="post" action=(PICTURE) enctype="multipart/form-data" {
            (visit.form_token())
            input type="hidden" name="user" value=(browser.user_id);
            div.field {
                label for="picture" { (say.picture_new) }
                input #picture name="picture" type="file" required accept="image/png,image/jpeg,image/gif,image/webp"
                    aria-describedby="picture_hint";
                small #picture_hint { (say.picture_hint) }
            }
            button { (say.picture_save) }
        }
        @if has_one {
            form.inline method="post" action=(Wish::Profile.path()) {
                (visit.form_token())
                input type="hidden" name="user" value=(browser.user_id);
                button.quiet name="remove_picture" value="yes" { (say.picture_remove) }
            }
        }
    }
}
