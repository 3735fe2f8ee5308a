-- GCRA (ITU-T I.371), whole in Redis and by its clock. KEYS[1]: the bucket. ARGV: microseconds that one request takes up, and
-- that may be taken up at once. Returns {1, 0}, or {0, microseconds to wait}.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local arrival = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0)) + ARGV[1]
local early = arrival - ARGV[2] - now
if early > 0 then return {0, early} end
redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000))
return {1, 0}
