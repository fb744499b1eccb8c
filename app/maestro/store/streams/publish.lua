-- Gives one envelope to a stream, in one step. KEYS: stream, ids seen. ARGV: id, envelope, capacity, ids to remember.
-- Answers "sent"; "twice" for an id seen before; "nobody" where no group listens; "full" while the slowest group is
-- as far behind as the capacity allows. The ids are a sorted set by the server's time.

local function number(id)
    local ms, seq = string.match(id, '^(%d+)-(%d+)$')
    return tonumber(ms), tonumber(seq)
end
local function before(a, b)
    local ams, aseq = number(a)
    local bms, bseq = number(b)
    return ams < bms or (ams == bms and aseq < bseq)
end
local function field(list, name)
    for i = 1, #list, 2 do if list[i] == name then return list[i + 1] end end
end
-- The first entry that some group has not acknowledged: all before it may go.
local function keep_from(stream, groups)
    local keep
    for _, group in ipairs(groups) do
        local first
        if field(group, 'pending') > 0 then
            first = redis.call('XPENDING', stream, field(group, 'name'))[2]
        else
            local ms, seq = number(field(group, 'last-delivered-id'))
            first = string.format('%.0f-%.0f', ms, seq + 1)
        end
        if not keep or before(first, keep) then keep = first end
    end
    return keep
end

local stream, seen = KEYS[1], KEYS[2]
local name, envelope, capacity, window = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local groups = redis.call('EXISTS', stream) == 1 and redis.call('XINFO', 'GROUPS', stream) or {}
if #groups == 0 then return 'nobody' end
if redis.call('ZSCORE', seen, name) then return 'twice' end
if redis.call('XLEN', stream) >= capacity then
    redis.call('XTRIM', stream, 'MINID', keep_from(stream, groups))
    if redis.call('XLEN', stream) >= capacity then return 'full' end
end
local now = redis.call('TIME')
redis.call('ZADD', seen, now[1] * 1000000 + now[2], name)
redis.call('ZREMRANGEBYRANK', seen, 0, -window - 1)
redis.call('XADD', stream, '*', 'envelope', envelope)
return 'sent'
