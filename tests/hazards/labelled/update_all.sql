update bookings set total_cents = total_cents * 100;
