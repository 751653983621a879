-- Deletes a session that is over, unless it has changed since it was read. If it is
-- gone already, only its id is deleted from the index.
-- KEYS: session, index. ARGV: version, session id. Returns how many it deleted.
local version = redis.call('GETRANGE', KEYS[1], 0, 7)
if version ~= '' and version ~= ARGV[1] then
    return 0
end
redis.call('ZREM', KEYS[2], ARGV[2])
return redis.call('DEL', KEYS[1])
