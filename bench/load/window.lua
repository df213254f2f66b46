-- wrk … URL -- WARM SECONDS CONNECTIONS METHOD TYPE BODY VARIED
--
-- Tells on stdout when the measured time begins and ends, with the number of complete replies
-- so far and the time: "begin COUNT SECONDS", "end COUNT SECONDS". wrk itself measures from its
-- start, which would put the handshakes of all connections into the figures.
--
-- BODY is a file or "-"; VARIED is "1" for a field with another number in each request.

local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } kssl_time;
  int clock_gettime(int clock, kssl_time *time);
]]
local time = ffi.new("kssl_time")

local function now()
  ffi.C.clock_gettime(1, time)  -- CLOCK_MONOTONIC
  return tonumber(time.seconds) + tonumber(time.nanoseconds) * 1e-9
end

local warm, seconds, connections
local asked, replies, limit, state = 0, 0, nil, "rising"

-- wrk counts 400 and more as errors. What else is not 2xx is none of the replies that were measured.
bad = 0
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

local function tell(what, at)
  io.stdout:write(string.format("%s %d %.6f\n", what, replies, at))
  io.stdout:flush()
end

function init(args)
  warm, seconds, connections = tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
  wrk.method = args[4]
  if args[6] ~= "-" then
    local file = assert(io.open(args[6], "rb"))
    wrk.body = file:read("*a")
    file:close()
    wrk.headers["Content-Type"] = args[5]
  end
  local varied = args[7] == "1"
  local request_text = wrk.format()

  -- A connection that is up always has one request out. So all are up once that many are. wrk
  -- calls this once for each request, as long as that goes out in one piece.
  function request()
    asked = asked + 1
    if varied then
      wrk.headers["X-Request-Number"] = asked
      return wrk.format()
    end
    return request_text
  end
end

function response(status)
  if status < 200 or status > 299 then bad = bad + 1 end
  local at, all_up = now(), asked - replies >= connections
  replies = replies + 1
  if state == "rising" and all_up then
    state, limit = "warm", at + warm
  elseif state == "warm" and at >= limit then
    state, limit = "measured", at + seconds
    tell("begin", at)
  elseif state == "measured" and at >= limit then
    state = "over"
    tell("end", at)
  end
end

function done(summary, latency)
  local errors, bad = summary.errors, 0
  for _, thread in ipairs(threads) do bad = bad + thread:get("bad") end
  io.stdout:write(string.format(
    "done connect=%d read=%d write=%d status=%d timeout=%d latency=",
    errors.connect, errors.read, errors.write, bad, errors.timeout))
  for _, percentile in ipairs({ 50, 75, 90, 99, 99.9 }) do
    io.stdout:write(string.format("%g:%d,", percentile, latency:percentile(percentile)))
  end
  io.stdout:write("\n")
end
