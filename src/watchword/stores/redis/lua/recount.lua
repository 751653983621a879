-- Writes new instants for counters, if each still has the value that was read.
-- KEYS: the counters. ARGV: for each its name, the value that was read ('' for none),
-- and the value to write ('' to delete it). Returns 1, or 0 with nothing written.
for i = 1, #ARGV, 3 do
    if (redis.call('ZSCORE', KEYS[1], ARGV[i]) or '') ~= ARGV[i + 1] then
        return 0
    end
end
for i = 1, #ARGV, 3 do
    if ARGV[i + 2] == '' then
        redis.call('ZREM', KEYS[1], ARGV[i])
    else
        redis.call('ZADD', KEYS[1], ARGV[i + 2], ARGV[i])
    end
end
return 1
