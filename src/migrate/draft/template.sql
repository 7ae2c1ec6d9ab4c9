-- revision: {revision}
-- revises: {revises}
-- branch: {branch}
-- depends-on: {depends_on}
-- created: {created}
-- {description}

-- upgrade

-- downgrade
