//! Operators' commands on what users reported.

use myelin_model::Pos;
use myelin_store::schema::users::Report;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::text;
use crate::compose::Server;

/// The most that one command lists.
const MOST: usize = 1_000;

/// What to do with reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportAction {
    /// List those that wait, the oldest first.
    List {
        /// Those after this one.
        after: Option<i64>,
        /// At most so many.
        limit: usize,
    },
    /// Tell all of one, with the event that it is about.
    Show {
        /// Its number.
        report: i64,
    },
    /// Delete it: it was looked at.
    Dismiss {
        /// Its number.
        report: i64,
    },
}

pub(super) async fn run(server: &Server, action: ReportAction) -> Result<Value, String> {
    let users = &server.state.users;
    let missing = || "there is no such report".to_owned();
    match action {
        ReportAction::List { after, limit } => {
            let reports = users.reports(after.map(Pos::new), limit.clamp(1, MOST)).await.map_err(text)?;
            Ok(reports.iter().map(line).collect())
        }
        ReportAction::Show { report } => {
            let report = users.report_at(Pos::new(report)).await.map_err(text)?.ok_or_else(missing)?;
            let mut shown = line(&report);
            if let Some(event) = &report.event {
                shown["event"] = serde_json::from_slice(event).map_err(text)?;
            }
            Ok(shown)
        }
        ReportAction::Dismiss { report } => {
            let done = users.dismiss_report(Pos::new(report)).await.map_err(text)?;
            if done { Ok(Value::Null) } else { Err(missing()) }
        }
    }
}

fn line(report: &Report) -> Value {
    json!({
        "report": report.pos.get(),
        "at": report.at,
        "reporter": report.reporter,
        "room_id": report.room_id,
        "event_id": report.event_id,
        "user_id": report.user_id,
        "reason": report.reason,
    })
}
