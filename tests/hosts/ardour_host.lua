-- The VST3 in Ardour without a display: it loads, takes parameters, reports its latency, and plays.
function check(what, holds)
  print((holds and "ok    " or "FAIL  ") .. what)
end

local backend = AudioEngine:set_backend("None (Dummy)", "Uniform White Noise", "")
local s = create_session(os.getenv("SESSION"), "vocoder", 48000)
assert(s)
local unique
for p in ARDOUR.LuaAPI.list_plugins():iter() do
  if p.name == "Vocoder" then unique = p.unique_id end
end
check("Ardour lists it", unique ~= nil)
if unique then
  local track = s:new_audio_track(2, 2, nil, 1, "track", ARDOUR.PresentationInfo.max_order, ARDOUR.TrackMode.Normal, true):front()
  local proc = ARDOUR.LuaAPI.new_plugin(s, unique, ARDOUR.PluginType.VST3, "")
  check("it loads", not proc:isnil())
  if not proc:isnil() then
    track:add_processor_by_index(proc, 0, nil, true)
    sleep(2)
    local insert = proc:to_insert()
    local latency = insert:signal_latency()
    local block = backend:buffer_size()
    -- A chunk of one frame of 12.5 ms; 80 % of it to compute, and what may queue before it, in whole blocks;
    -- 600 samples of window, a frame ahead for the network, one for the polish and 61 of the resampler at 24 kHz, and 121 of the other's.
    local chunk, budget, queued = 600, 480, 0
    for more = 0, math.ceil(block / 240) + 1 do
      queued = math.max(queued, (more + 1) * budget - more * chunk // block * block)
    end
    local expected = chunk + block * math.ceil(queued / block) + 2 * (600 + 600 + 61) + 121
    check("latency " .. latency .. " in blocks of " .. block .. ", by the formula " .. expected, latency == expected)
    local count = insert:plugin(0):parameter_count()
    check("it has parameters: " .. count, count > 10)
    ARDOUR.LuaAPI.set_processor_param(proc, 0, 1)
    s:request_roll(ARDOUR.TransportRequestSource.TRS_UI)
    sleep(3)
    check("it plays on", insert:plugin(0):name() == "Vocoder")
  end
end
s:save_state("")
close_session()
print("ardour: all holds")
quit()
