-- web: where the files of data sets are published, and how they come into the cache folder.
local download = require "mascon.download"
local places = require "mascon.places"
local system = require "mascon.system"
local web = {}

local LIMIT = 4 << 30 -- bytes, where the size is not known

local function idx(train_images, train_labels, test_images, test_labels)
  return { ["train-images-idx3-ubyte.gz"] = train_images, ["train-labels-idx1-ubyte.gz"] = train_labels,
    ["t10k-images-idx3-ubyte.gz"] = test_images, ["t10k-labels-idx1-ubyte.gz"] = test_labels }
end

-- mirrors: addresses of folders, asked one after the other. files: name -> MD5, as published.
web.sets = {
  mnist = { mirrors = { "https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/" },
    files = idx("f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432", "9fb629c4189551a2d022fa330f9573f3",
      "ec29112dd5afa0611ce80d1b7f02629c") },
  fashion_mnist = { mirrors = { "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
      "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/" },
    files = idx("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe", "bef4ecab320f06d8554ea6380940ec79",
      "bb300cfdad3c16e7a12a480ee83cd310") },
  kmnist = { mirrors = { "http://codh.rois.ac.jp/kmnist/dataset/kmnist/" },
    files = idx("bdb82020997e1d708af4cf47b453dcf7", "e144d726b3acfaa3e44228e80efcd344", "5c965bf0a639b31b8f53240b1b52f4d7",
      "7320c461ea6c1c855c0b718fb2a4b134") },
  svhn = { mirrors = { "http://ufldl.stanford.edu/housenumbers/" },
    files = { ["train_32x32.mat"] = "e26dedcc434d2e4c54c9b2d4a06d8373", ["test_32x32.mat"] = "eb5a983be6a315427106f1b164d9cef3",
      ["extra_32x32.mat"] = "a93ce644f1a588dc4d68dda5feec44a7" } },
}

-- Those of the files `names` (default: all) of a set that the cache folder lacks: into it. wanted: the caller's option download. true, or
-- nil and a text, lines with what was tried. $MASCON_MIRROR: an address whose folders SET/ are asked first.
function web.fetch(set, wanted, names)
  local known = web.sets[set]
  if not wanted then return nil, "nothing was downloaded: download = false" end
  if system.sandboxed() then return nil, "nothing was downloaded: mascon --sandbox has no network" end
  if download.offline() then return nil, "nothing was downloaded: MASCON_OFFLINE is set" end
  if system.sandboxed() then return nil, "nothing was downloaded: mascon --sandbox has no network" end
  local cache = places.cache_folder()
  if not cache then return nil, "nothing was downloaded: there is no cache folder, as neither XDG_CACHE_HOME nor HOME is set" end
  local folder = cache .. "/" .. set
  local made, problem = system.mkdir(folder)
  if not made then return nil, "nothing was downloaded: " .. problem end
  if not names then
    names = {}
    for name in pairs(known.files) do names[#names + 1] = name end
    table.sort(names)
  end
  local mirrors, own = table.move(known.mirrors, 1, #known.mirrors, 1, {}), os.getenv "MASCON_MIRROR"
  if own and own ~= "" then table.insert(mirrors, 1, own:gsub("/*$", "") .. "/" .. set .. "/") end
  for _, name in ipairs(names) do
    local path, urls = folder .. "/" .. name, {}
    for i, mirror in ipairs(mirrors) do urls[i] = mirror .. name end
    if system.kind(path) ~= "file" then
      local ok, said = download.fetch(urls, path, { md5 = known.files[name], at_most = LIMIT, connect_timeout = 10.0, stall_timeout = 30.0,
        label = name })
      if not ok then return nil, ("the download of %s (into %s) failed:\n%s"):format(name, folder, said) end
    end
  end
  return true
end

return web
