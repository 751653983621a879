-- A session that is over, unless it has moved on since it was read; gone already: only
-- its place in the index.
-- KEYS: session, index. ARGV: version, session id. Returns how many sessions went.
local version = redis.call('GETRANGE', KEYS[1], 0, 7)
if version ~= '' and version ~= ARGV[1] then
    return 0
end
redis.call('ZREM', KEYS[2], ARGV[2])
return redis.call('DEL', KEYS[1])
