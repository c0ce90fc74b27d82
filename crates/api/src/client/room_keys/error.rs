//! Matrix errcodes for what key backups refuse.

use http::StatusCode;
use myelin_e2ee::BackupError;

use crate::Error;

impl From<BackupError> for Error {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::NotFound => Self::not_found("There is no such backup version."),
            BackupError::WrongVersion { current } => {
                let message = "Keys can only be stored in the current backup version.";
                Self::new(StatusCode::FORBIDDEN, "M_WRONG_ROOM_KEYS_VERSION", message)
                    .with("current_version", current)
            }
            BackupError::OtherAlgorithm => {
                Self::invalid_param("The algorithm does not match that of the backup version.")
            }
            BackupError::Malformed(problem) => {
                Self::invalid_param(format!("The backup can't be stored: {problem}."))
            }
            BackupError::Read(error) => error.into(),
            BackupError::Commit(error) => error.into(),
        }
    }
}
