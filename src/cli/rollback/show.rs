//! What is known before a rollback, for a person and for programs. **Pure.**

use serde_json::{Value, json};

use crate::engine::rollback::{Advice, Release, Survey, Way, Written};
use crate::rollback::By;
use crate::ui::layout::{fold, hang};

/// How many objects that were written to are named.
const MOST: usize = 12;

/// How wide the names of what is told are.
const NAMES: usize = 11;

/// For a person, at most `width` columns wide: the release, what was written since, the ways.
pub(super) fn text(survey: &Survey, advice: Option<&Advice>, chosen: Option<By>, width: usize) -> String {
    let told = |name: &str, text: &str| hang(&format!("{name:NAMES$} "), text, width);
    let mut lines = match &survey.release {
        Ok(release) => told("release", &released(release)),
        Err(why) => told("release", &format!("none: {why}")),
    };
    lines.extend(survey.release.iter().flat_map(|release| told("applied", &applied(release))));
    if survey.gone {
        lines.extend(told("database", "gone: there is none of production's name on this server"));
    } else if survey.release.is_ok() {
        lines.extend(written(&survey.written).iter().flat_map(|(name, text)| told(name, text)));
    }
    lines.push(String::new());
    lines.extend(survey.ways.iter().flat_map(|way| {
        let mark = if chosen == Some(way.by) { ">" } else { " " };
        told(&format!("{mark} {}", way.by), &of_way(way))
    }));
    if let Some(Advice { by, why }) = advice {
        lines.push(String::new());
        lines.extend(fold(&format!("recommended: {by}, because {why}"), width));
    }
    lines.join("\n")
}

fn released(release: &Release) -> String {
    let left = &release.left;
    let ended = left.ended.as_ref().map(|(verdict, at)| {
        format!(", ended {} with exit {}", at.strftime("%Y-%m-%d %H:%M UTC"), verdict.exit_code())
    });
    format!("{} ({}){}", release.run, left.runbook, ended.unwrap_or_default())
}

fn applied(release: &Release) -> String {
    match release.left.applied.is_empty() {
        true => "no migrations; its commands may have changed the database".to_string(),
        false => format!("migrations {}", release.left.applied.join(", ")),
    }
}

/// What was written since, in lines with a name each.
fn written(written: &Written) -> Vec<(&'static str, String)> {
    match written {
        Written::Nothing => vec![("since then", "nothing was written".into())],
        Written::Unknown(why) => vec![("since then", format!("unknown: {why}"))],
        Written::Some { since, words, .. } => {
            let mut lines = vec![("since then", since.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())];
            lines.extend(words.iter().take(MOST).map(|one| ("", one.clone())));
            let more = words.len().saturating_sub(MOST);
            lines.extend((more > 0).then(|| ("", format!("and {more} more"))));
            lines
        }
    }
}

fn of_way(way: &Way) -> String {
    match &way.order {
        Ok(_) => way.cost.clone(),
        Err(why) => format!("not possible: {why}"),
    }
}

/// For programs: one object, before those of the run.
pub(super) fn document(
    survey: &Survey,
    advice: Option<&Advice>,
    chosen: Option<By>,
    environment: &str,
) -> Value {
    let release = survey.release.as_ref().map(|release| {
        json!({
            "run": release.run, "runbook": release.left.runbook, "applied": release.left.applied,
            "ended": release.left.ended.map(|(_, at)| at), "exit": release.left.ended.map(|(v, _)| v.exit_code()),
        })
    });
    let written = match &survey.written {
        Written::Nothing => json!({ "rows": 0, "deleted": 0, "what": [] }),
        Written::Some { since, rows, deleted, words } => {
            json!({ "since": since, "rows": rows, "deleted": deleted, "what": words })
        }
        Written::Unknown(why) => json!({ "unknown": why }),
    };
    let ways = survey.ways.iter().map(|way| {
        json!({
            "by": way.by, "possible": way.order.is_ok(), "why_not": way.order.as_ref().err(), "cost": way.cost,
            "millis": way.millis,
        })
    });
    json!({
        "event": "rollback", "environment": environment, "release": release.ok(), "no_release": survey.release.as_ref().err(),
        "gone": survey.gone, "written": written, "ways": ways.collect::<Vec<_>>(), "recommended": advice,
        "chosen": chosen,
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::failure::Verdict;
    use crate::rollback::Order;
    use crate::steps::Released;

    fn survey() -> Survey {
        let at: Timestamp = "2026-11-21T14:02:11Z".parse().unwrap();
        let left = Released {
            runbook: "release".into(),
            ended: Some((Verdict::Done, at)),
            applied: vec!["c08085465bad".into()],
            ..Released::default()
        };
        let order = |by| Order {
            by,
            release: None,
            backup: None,
            targets: Default::default(),
            marked: true,
            gone: false,
        };
        let way = |by, cost: &str| Way { by, order: Ok(order(by)), cost: cost.into(), millis: None };
        Survey {
            release: Ok(Release { run: "20261121t140102z-abcde".into(), left, database: None }),
            gone: false,
            written: Written::Some {
                since: at,
                rows: 3,
                deleted: 1,
                words: vec!["public.orders: 3 rows new or changed, 1 row deleted".into()],
            },
            ways: vec![
                Way { order: Err("c08085465bad has no downgrade".into()), ..way(By::Downgrade, "") },
                way(
                    By::Guard,
                    "shop__g_20261121t140102z-abcde_1 takes production's place, in seconds; 3 rows and 1 deletion of since go to the ledger",
                ),
                way(
                    By::Backup,
                    "restores 20261121t140000z-fghij: 450 rows, 12 kB; 3 s when it was last proven; production then lacks all that is later",
                ),
            ],
        }
    }

    #[test]
    fn a_person_sees_all_there_is_to_choose_from() {
        let survey = survey();
        let advice = Advice::of(&survey);
        insta::assert_snapshot!(text(&survey, advice.as_ref(), Some(By::Guard), 80));
        let gone = Survey { gone: true, ..survey.clone() };
        let advice = Advice::of(&gone);
        let none = Survey { release: Err("no run of production has ended".into()), ..survey };
        insta::assert_snapshot!(format!(
            "{}\n\n---\n\n{}",
            text(&gone, advice.as_ref(), advice.as_ref().map(|advice| advice.by), 60),
            text(&none, None, None, 60)
        ));
    }

    #[test]
    fn programs_see_the_same() {
        let survey = survey();
        let document = document(&survey, Advice::of(&survey).as_ref(), Some(By::Guard), "production");
        insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
    }
}
