-- Requests for wrk: posts the lines of a file in turn.
local requests = {}
local turn = 0

function init(arguments)
    wrk.headers["Content-Type"] = "application/json"
    for line in io.lines(arguments[1]) do
        requests[#requests + 1] = wrk.format("POST", "/score", nil, line)
    end
end

function request()
    turn = turn % #requests + 1
    return requests[turn]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format("%.3f %d\n",
        summary.requests / (summary.duration / 1e6),
        errors.connect + errors.read + errors.write + errors.status
            + errors.timeout))
end
