-- New instants for counters, where each is still what it was read as.
-- KEYS: the counters. ARGV: for each its name, what was read ('': nothing), what to
-- write ('': nothing is left). Returns 1, or 0 with nothing written.
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
