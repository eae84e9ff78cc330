-- What a call cost in USD; NULL without a price.
--
if(llm_logs.unpriced, NULL, llm_logs.cost)
