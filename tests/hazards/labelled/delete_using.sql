delete from sessions using users;
