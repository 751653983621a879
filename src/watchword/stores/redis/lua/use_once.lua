-- Records keys as used.
-- KEYS: the sorted set of used keys. ARGV: for each key the instant until which it is
-- kept, and the key.
-- Returns '1' for each key that was not used before, '0' for the others.
local first = {}
for i = 1, #ARGV, 2 do
    first[#first + 1] = redis.call('ZADD', KEYS[1], 'NX', ARGV[i], ARGV[i + 1])
end
return table.concat(first)
