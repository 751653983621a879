-- Deletes the members with an instant that has passed.
-- KEYS: a sorted set. ARGV: now, and how many to delete at most. Returns how many it
-- deleted.
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
if #over > 0 then
    redis.call('ZREM', KEYS[1], unpack(over))
end
return #over
