-- Whether the status of a raw span is an error, in the words of either way in which exporters write it.
--
StatusCode IN ('Error', 'STATUS_CODE_ERROR')
