-- Requests for wrk. BENCH_CASE: health, read, path, unchanged, evidence, trials. Other settings come from the environment as run.py sets them.
local case = os.getenv("BENCH_CASE")
local bearer = "Bearer " .. (os.getenv("BENCH_TOKEN") or "")
local lanes = tonumber(os.getenv("BENCH_LANES") or "1")
local context = os.getenv("BENCH_CONTEXT") or ""
local threads, requests, sent = 0, {}, 0
local before_record, before_instance, after_instance, head

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local function tags()
  local found = {}
  for line in io.lines(os.getenv("BENCH_TAGS")) do found[#found + 1] = line end
  return found
end

local function read_requests()
  if case == "path" then
    requests[1] = wrk.format("GET", os.getenv("BENCH_PATH"), { Host = "bench", Authorization = bearer })
    return
  end
  local tag = case == "unchanged" and tags()
  for i = 0, lanes - 1 do
    local headers = { Host = "bench", Authorization = bearer }
    if tag then headers["If-None-Match"] = tag[i + 1] end
    requests[#requests + 1] = wrk.format("GET", "/v1/inventory/" .. context .. "/lane" .. i, headers)
  end
end

local function read_template()
  local file = assert(io.open(os.getenv("BENCH_BODY")))
  before_record, before_instance, after_instance = file:read("*a"):match("^(.-)@RECORD@(.-)@INSTANCE@(.*)$")
  file:close()
  head = "POST /v1/evidence/deployments HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nAuthorization: " ..
    bearer .. "\r\nIdempotency-Key: "
end

function init()
  math.randomseed(os.time() + tonumber(tostring({}):match("0x(%x+)"), 16) % 100000)
  if case == "health" then
    requests[1] = wrk.format("GET", os.getenv("BENCH_PATH") or "/v1/health", { Host = "bench" })
  elseif case == "evidence" then
    read_template()
  elseif case == "trials" then
    before_instance = '{"schema_version":1,"product":"' .. os.getenv("BENCH_PRODUCT") .. '","context":"' .. context .. '","instance":"'
    head = "POST /v1/trials HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nAuthorization: " .. bearer ..
      "\r\nIdempotency-Key: "
  else
    read_requests()
  end
end

function request()
  if case ~= "evidence" and case ~= "trials" then return requests[math.random(#requests)] end
  sent = sent + 1
  local id = os.getenv("BENCH_RUN") .. "-" .. number .. "-" .. sent
  if case == "trials" then
    local trial = before_instance .. id .. '"}'
    return head .. id .. "\r\nContent-Length: " .. #trial .. "\r\n\r\n" .. trial
  end
  local body = before_record .. "deployment-" .. id .. before_instance .. "busy" .. math.random(0, lanes - 1) .. after_instance
  return head .. id .. "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

function done(summary, latency)
  local e = summary.errors
  print(string.format('RESULT {"requests":%d,"us":%d,"p50_us":%d,"p99_us":%d,"errors":%d}', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
