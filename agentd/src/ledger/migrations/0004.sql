-- What files in the configuration directory declare.

ALTER TABLE agents ADD COLUMN declared TEXT;            -- the file; NULL where it was enrolled by hand
ALTER TABLE account_limits ADD COLUMN declared TEXT;    -- the file that declared it last; NULL where none did
