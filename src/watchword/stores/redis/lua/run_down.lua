-- Members whose instant has come. KEYS: a sorted set. ARGV: now, how many at most.
-- Returns how many went.
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
if #over > 0 then
    redis.call('ZREM', KEYS[1], unpack(over))
end
return #over
