-- Writes each session if its value begins with the version that was judged.
-- KEYS: n sessions, then a stream for each note (a feed entry or an event), then
-- perhaps a mark.
-- ARGV: n; version and value of each session; then for each note the number of its
-- session and its content. The mark has 0 as its number: it is written in any case, so
-- that there is a write to wait for.
-- A note's field is the time in microseconds, by which notes of several buckets are put
-- in order.
-- Returns '1' or '0' for each session.
local n = tonumber(ARGV[1])
local done = {}
for i = 1, n do
    if redis.call('GETRANGE', KEYS[i], 0, 7) == ARGV[2 * i] then
        redis.call('SET', KEYS[i], ARGV[2 * i + 1])
        done[i] = '1'
    else
        done[i] = '0'
    end
end
local clock = #KEYS > n and redis.call('TIME')
local stamp = clock and clock[1] .. string.format('%06d', clock[2])
for i = n + 1, #KEYS do
    local whose = tonumber(ARGV[2 * i])
    if whose == 0 then
        redis.call('SET', KEYS[i], '')
    elseif done[whose] == '1' then
        redis.call('XADD', KEYS[i], '*', stamp, ARGV[2 * i + 1])
    end
end
return table.concat(done)
