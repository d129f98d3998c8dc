-- Agents whose keys their owners certify.

ALTER TABLE agents ADD COLUMN authority TEXT;           -- the owner's key; NULL where no certificate is asked for
ALTER TABLE agents ADD COLUMN certified_from INTEGER;   -- wall ms; NULL where the key at hand was never certified
ALTER TABLE agents ADD COLUMN certified_until INTEGER;  -- wall ms
