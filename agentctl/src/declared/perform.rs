//! Doing what a plan says, by the commands that people use.

use agentd_schemas::problem::Code;

use super::plan::{Change, Step};
use crate::command::agent::enroll;
use crate::context::{Context, document};
use crate::error::Failure;
use crate::presence::govern;
use crate::{agent_key, ambient};

/// Makes one difference none. The file stands in the reasons that the ledger keeps.
pub(crate) async fn apply(context: &Context, change: &Change) -> Result<(), Failure> {
    for step in &change.steps {
        perform(context, step, &change.file).await.map_err(|failure| failure.about(&change.file))?;
    }
    Ok(())
}

async fn perform(context: &Context, step: &Step, file: &str) -> Result<(), Failure> {
    let declared = format!("declared in {file}");
    match step {
        Step::EnrolProgram(enrolment) => {
            govern::<_, String>(context.agents().await?.inner(), "EnrollProgram", &(enrolment,)).await?;
        }
        Step::EnrolResident(agent) => {
            let path = agent_key::path(&agent.name, None)?;
            // A key that an apply made whose outcome nobody saw is used, not replaced.
            let made = !path.exists();
            enroll::with_key(context, (**agent).clone(), &path, made, Some(file.to_owned())).await?;
            context.out.note(format!("the key of agent {} is in {}", agent.name, path.display()));
        }
        Step::SetProgram(enrolment) => {
            govern::<_, String>(context.agents().await?.inner(), "SetProgram", &(enrolment, &declared)).await?;
        }
        Step::SetModel(agent, binding) => {
            let binding = binding.as_ref().map(document).transpose()?.unwrap_or_default();
            let arguments = (agent.as_str(), &binding, &declared);
            govern::<_, u32>(context.agents().await?.inner(), "SetModel", &arguments).await?;
        }
        Step::DeclareSkills(agent, skills) => {
            let arguments = (agent.as_str(), document(skills)?);
            govern::<_, ()>(context.agents().await?.inner(), "DeclareSkills", &arguments).await?;
        }
        Step::SetLimit(limit) => {
            govern::<_, ()>(context.host().await?.inner(), "SetAccountLimit", &(document(limit)?,)).await?;
        }
        Step::AddSchedule(schedule) => {
            let key = data_encoding::HEXLOWER.encode(&ambient::random::<16>()?);
            let arguments = (document(schedule)?, file, &key);
            govern::<_, String>(context.schedules().await?.inner(), "Declare", &arguments).await?;
        }
        Step::RemoveSchedule(id) => {
            match govern::<_, ()>(context.schedules().await?.inner(), "Remove", &(id,)).await {
                // Somebody else was quicker.
                Err(failure) if failure.code() == Code::NotFound.as_str() => {}
                other => other?,
            }
        }
        Step::Retire(agent) => {
            let reason = format!("no longer declared; it was in {file}");
            let arguments = (agent.as_str(), "retire", &reason);
            govern::<_, ()>(context.agents().await?.inner(), "SetState", &arguments).await?;
        }
    }
    Ok(())
}
