alter table sessions alter column token type uuid using token::uuid;
