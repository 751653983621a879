-- KEYS: the used keys. ARGV: until when it is kept, and the key, of each.
-- Returns '1' for each that nobody had used, '0' for the others.
local first = {}
for i = 1, #ARGV, 2 do
    first[#first + 1] = redis.call('ZADD', KEYS[1], 'NX', ARGV[i], ARGV[i + 1])
end
return table.concat(first)
