-- One request over and over: GET, or PUT with a body of BODY_BYTES. Says the result as one line of JSON.
local bytes = tonumber(os.getenv("BODY_BYTES"))
if bytes then
  wrk.method = "PUT"
  wrk.body = string.rep("x", bytes)
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"bytes":%d,"seconds":%.6f,"p50Us":%d,"p99Us":%d,"errors":%d}\n',
    summary.requests, summary.bytes, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
