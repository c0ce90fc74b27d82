//! Verification by comparing emoji, both sides of it.

use anyhow::{Context, ensure};
use futures_util::{StreamExt, stream};
use matrix_sdk::encryption::verification::{
    SasState, SasVerification, Verification, VerificationRequest, VerificationRequestState,
};
use matrix_sdk::ruma::UserId;
use matrix_sdk::ruma::events::key::verification::VerificationMethod;

use crate::device::Device;
use crate::wait::{changes, now_and_then, until};

/// Two sides that have compared nothing yet, but have the same emoji before them.
pub struct Compared<'d> {
    devices: [&'d Device; 2],
    asker: SasVerification,
    answerer: SasVerification,
    names: String,
}

/// Asks the own other devices to verify this one.
///
/// # Errors
/// When the request can't be sent.
pub async fn ask_own(device: &Device) -> anyhow::Result<VerificationRequest> {
    ask(device, device.user_id()).await
}

/// Asks another person to verify.
///
/// # Errors
/// When the person has no identity or the request can't be sent.
pub async fn ask(device: &Device, user: &UserId) -> anyhow::Result<VerificationRequest> {
    let encryption = device.client.encryption();
    let identity = encryption.request_user_identity(user).await?;
    let identity = identity.with_context(|| format!("{}: {user} has no identity", device.label))?;
    Ok(identity.request_verification_with_methods(vec![VerificationMethod::SasV1]).await?)
}

/// Brings a request to the point where both sides show emoji, and compares them.
///
/// # Errors
/// When either side gives up or is not told something in time, or when the emoji differ.
pub async fn show_emoji<'d>(
    asker: &'d Device,
    request: &VerificationRequest,
    answerer: &'d Device,
) -> anyhow::Result<Compared<'d>> {
    let names = format!("{} and {}", asker.label, answerer.label);
    let incoming = incoming(answerer, asker.user_id(), request.flow_id()).await?;
    incoming.accept_with_methods(vec![VerificationMethod::SasV1]).await?;
    until(&format!("{names}: the request accepted"), request.changes(), async || match request.state() {
        VerificationRequestState::Ready { .. } => Ok(()),
        other => Err(format!("{} sees {other:?}", asker.label)),
    })
    .await?;
    let ours = request.start_sas().await?.with_context(|| format!("{names}: no emoji to start with"))?;
    let theirs = until(&format!("{names}: the start"), incoming.changes(), async || match incoming.state() {
        VerificationRequestState::Transitioned { verification: Verification::SasV1(sas) } => Ok(sas),
        other => Err(format!("{} sees {other:?}", answerer.label)),
    })
    .await?;
    theirs.accept().await?;
    let devices = [asker, answerer];
    for (sas, label) in [(&ours, &asker.label), (&theirs, &answerer.label)] {
        let ticks = stream::select(sas.changes().map(drop), now_and_then());
        until(&format!("{names}: emoji at {label}"), ticks, async || match sas.state() {
            SasState::KeysExchanged { .. } => Ok(()),
            other => Err(nudge(devices, &other).await),
        })
        .await?;
    }
    let indices = |sas: &SasVerification| sas.emoji().map(|emoji| emoji.map(|one| one.symbol));
    ensure!(indices(&ours).is_some(), "{names}: no emoji");
    ensure!(indices(&ours) == indices(&theirs), "{names}: the emoji differ");
    Ok(Compared { devices, asker: ours, answerer: theirs, names })
}

/// Both confirm that the emoji match, and wait until both are done.
///
/// # Errors
/// When either side does not get there.
pub async fn confirm(compared: Compared<'_>) -> anyhow::Result<()> {
    let Compared { devices, asker, answerer, names } = compared;
    asker.confirm().await?;
    answerer.confirm().await?;
    for (sas, side) in [(&asker, "asking"), (&answerer, "answering")] {
        let ticks = stream::select(sas.changes().map(drop), now_and_then());
        until(&format!("{names}: the {side} side done"), ticks, async || match sas.state() {
            SasState::Done { .. } => Ok(()),
            other => Err(nudge(devices, &other).await),
        })
        .await?;
    }
    Ok(())
}

/// Has both sides send what they have to say; answers what there is instead of what was wanted.
async fn nudge(devices: [&Device; 2], state: &SasState) -> String {
    for device in devices {
        if let Err(error) = device.nudge().await {
            return format!("it sees {state:?}, and {error:#}");
        }
    }
    format!("it sees {state:?}")
}

/// Waits for another side's request.
async fn incoming(device: &Device, from: &UserId, flow_id: &str) -> anyhow::Result<VerificationRequest> {
    let arrivals = changes(device.arrivals());
    until(&format!("{}: a verification request of {from}", device.label), arrivals, async || {
        let request = device.client.encryption().get_verification_request(from, flow_id).await;
        let request = request.ok_or_else(|| "none".to_owned())?;
        match request.state() {
            VerificationRequestState::Requested { .. } => Ok(request),
            other => Err(format!("it is {other:?}")),
        }
    })
    .await
}
