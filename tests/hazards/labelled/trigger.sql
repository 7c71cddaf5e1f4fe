create trigger bookings_touch before update on bookings for each row execute function touch();
