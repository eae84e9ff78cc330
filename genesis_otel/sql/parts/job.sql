-- What identifies an evaluation job: the `job_id` in the details of its actions, or its individual.
if(JSONExtractString(details, 'job_id') != '', JSONExtractString(details, 'job_id'), individual_id)
