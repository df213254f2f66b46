-- wrk: a field with another number in each request, so that no two heads are the same.
local number = 0

request = function()
  number = number + 1
  wrk.headers["X-Request-Number"] = number
  return wrk.format("GET")
end
