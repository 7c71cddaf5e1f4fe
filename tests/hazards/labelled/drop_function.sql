drop function price(uuid);
