-- Writes a new session: its value, its id in the bucket's index, its event.
-- KEYS: session, index, outbox. ARGV: value, session id, event.
-- The event's field is the time in microseconds, by which events of several buckets are
-- put in order.
-- Returns 1 if the session is there now, 0 if another one has that id. Safe to repeat.
local there = redis.call('GET', KEYS[1])
if there then
    return there == ARGV[1] and 1 or 0
end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], 0, ARGV[2])
local clock = redis.call('TIME')
local stamp = clock[1] .. string.format('%06d', clock[2])
redis.call('XADD', KEYS[3], '*', stamp, ARGV[3])
return 1
